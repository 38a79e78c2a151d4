"""Whether the keys of a stage that belong together make sense together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdcli.errors import ConfigError

if TYPE_CHECKING:
    from kdcli.config.schema import StageConfig

SMALLEST = 32
"""Pixels that an image has at least on either side."""


def check_augmentation(stage: StageConfig) -> None:
    """Check what moves images and what changes their looks.

    Raises:
        ConfigError: the offending value, in one line.
    """
    where = f"of stage '{stage.name}'"
    if stage.crop is not None:
        (height, width), crop = stage.size, f"crop={stage.crop[0]}x{stage.crop[1]} {where}"
        if min(stage.crop) < SMALLEST:
            raise ConfigError(f"{crop} is below {SMALLEST} pixels")
        if stage.crop[0] > height or stage.crop[1] > width:
            raise ConfigError(f"{crop} is larger than size={height}x{width}, which it is cut out of; raise size")
    if not 0 <= stage.rotate <= 180:
        raise ConfigError(f"rotate={stage.rotate} {where} must lie in 0..180 degrees")
    for key in ("rotate_probability", "colour_probability"):
        if not 0 <= getattr(stage, key) <= 1:
            raise ConfigError(f"{key}={getattr(stage, key)} {where} must lie in 0..1")
    for key in ("gamma", "brightness", "colour"):
        low, high = getattr(stage, key)
        if not 0 < low <= high < math.inf:
            raise ConfigError(f"{key}=[{low}, {high}] {where} must be two numbers above 0, the smaller first")
    if not stage.rotate_taught and stage.teacher_cache == "none":
        raise ConfigError(
            f"rotate_taught=false {where} is about cached maps of the teacher, and there are none: a teacher that is "
            "asked sees the rotated image; set teacher_cache or leave rotate_taught out"
        )


def check_schedule(stage: StageConfig) -> None:
    """Check what an optimiser and its learning rate are given.

    Raises:
        ConfigError: the offending value, in one line.
    """
    where = f"of stage '{stage.name}'"
    if not all(0 <= beta < 1 for beta in stage.betas):
        raise ConfigError(f"betas=[{stage.betas[0]}, {stage.betas[1]}] {where} must both lie in 0..1, 1 excluded")
    for key in ("start_factor", "end_factor"):
        if not 0 <= getattr(stage, key) <= 1:
            raise ConfigError(f"{key}={getattr(stage, key)} {where} must lie in 0..1: it is a share of lr")
