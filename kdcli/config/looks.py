"""Which images of a step the student's losses are taken on."""

from __future__ import annotations

from kdcli.config.stage import StageKeys
from kdcli.errors import ConfigError, nearest

LOOKS = ("plain", "mixed", "transformed")
"""Points on the way of the images: as they came, after the mixers, after the transformation network."""


def looks_there(stage: StageKeys) -> tuple[str, ...]:
    """Return the looks of its images that there are in a stage."""
    exist = (True, bool(stage.mixers), stage.transform != "none")
    return tuple(name for name, there in zip(LOOKS, exist, strict=True) if there)


def has_looks(stage: StageKeys) -> bool:
    """Whether a stage has all images that its losses are taken on."""
    return {name for name, weight in stage.looks if weight} <= set(looks_there(stage))


def check_looks(stage: StageKeys) -> None:
    """Check that a stage which trains the student has the images that its losses are taken on.

    Raises:
        ConfigError: it has no mixer or no transformation network, or there is no such look.
    """
    there = looks_there(stage)
    for name, weight in stage.looks:
        if name not in LOOKS:
            raise ConfigError(
                f"looks of stage '{stage.name}': there is no '{name}'.{nearest(name, LOOKS)} "
                f"There are: {', '.join(LOOKS)}"
            )
        if weight and name not in there and stage.train == "student":
            lacks = "mixer" if name == "mixed" else "transformation network"
            raise ConfigError(
                f"looks of stage '{stage.name}' take '{name}' images, but it has no {lacks}; "
                f"there are: {', '.join(there)}"
            )
