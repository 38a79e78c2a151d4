"""``--recipe auto``: which recipe a run is, by what was given of teacher and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdcli.choosing.built import Built
from kdcli.choosing.held_out import with_split
from kdcli.config.others import GROUND_TRUTH, named_data, named_teachers
from kdcli.errors import ConfigError
from kdcli.recipes.auto import NAME
from kdcli.sources.parts import has_depth, has_instances
from kdcli.spec import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """The recipe that ``auto`` is, why, and the training images as they are to be taken."""

    recipe: str
    why: str
    data: str | None


def which(flags: Mapping[str, Any], settings: Sequence[str], built: Built) -> Which:
    """Choose a recipe.

    Raises:
        ConfigError: images without depth, and no teacher. KdcliError: the source cannot be built.
    """
    named, data = named_teachers(flags, settings), named_data(flags, settings)
    teachers = [spec for spec in named if spec.name != GROUND_TRUTH]
    simulated = data is None or data == NAME or parse(data).name == "sim"
    if named and not teachers:
        return Which(recipe="supervised", why="the teacher is the images' own depth", data=data)
    if simulated and not any(str(spec) != "demo" for spec in teachers):
        return Which(recipe="data-free", why="no teacher and no images of yours are named", data=data)
    if data is None or data == NAME:
        return Which(recipe="data-free", why="a teacher of yours and no images", data=data)
    data = with_split(data, built)
    source = built.source(data)
    if not teachers:
        if has_depth(source):
            return Which(recipe="supervised", why=f"'{data}' has depth and no teacher is named", data=data)
        raise ConfigError(
            f"nobody teaches: '{data}' has no depth and no teacher is named; give --teacher SPEC, for example adabins "
            "(see: kdcli plugins list), or images with depth"
        )
    if simulated or has_instances(source):
        return Which(recipe="data-free", why=f"'{data}' is simulated" if simulated else f"'{data}' has object ids",
                     data=data)  # fmt: skip
    return Which(recipe="own-images", why=f"'{data}' are images without object ids", data=data)
