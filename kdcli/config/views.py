"""Which images of a step the student's losses are taken on."""

from __future__ import annotations

from kdcli.config.stage import StageKeys
from kdcli.errors import ConfigError, nearest

VIEWS = ("plain", "mixed", "transformed")
"""Points on the way of the images: as they came, after the mixers, after the transformation network."""


def views_there(stage: StageKeys) -> tuple[str, ...]:
    """Return the views of its images that there are in a stage."""
    exist = (True, bool(stage.mixers), stage.transform != "none")
    return tuple(name for name, there in zip(VIEWS, exist, strict=True) if there)


def has_views(stage: StageKeys) -> bool:
    """Whether a stage has all images that its losses are taken on."""
    return {name for name, weight in stage.views if weight} <= set(views_there(stage))


def check_views(stage: StageKeys) -> None:
    """Check that a stage which trains the student has the images that its losses are taken on.

    Raises:
        ConfigError: it has no mixer or no transformation network, or there is no such view.
    """
    there = views_there(stage)
    for name, weight in stage.views:
        if name not in VIEWS:
            raise ConfigError(
                f"views of stage '{stage.name}': there is no '{name}'.{nearest(name, VIEWS)} "
                f"There are: {', '.join(VIEWS)}"
            )
        if weight and name not in there and stage.train == "student":
            lacks = "mixer" if name == "mixed" else "transformation network"
            raise ConfigError(
                f"views of stage '{stage.name}' take '{name}' images, but it has no {lacks}; "
                f"there are: {', '.join(there)}"
            )
