"""Whether the values of a stage lie where they can, each and together."""

from __future__ import annotations

import math
import re

from kdcli.config.sizes import check_sizes
from kdcli.config.stage import StageKeys
from kdcli.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,59}")  # also of files

SMALLEST = 32
"""Pixels that an image has at least on either side."""


def check_stage(stage: StageKeys) -> None:
    """Check every key of a stage that can be judged without its plugins.

    Raises:
        ConfigError: the offending value, in one line.
    """
    if not _NAME.fullmatch(stage.name):
        raise ConfigError(f"stage name {stage.name[:60]!r} must be letters, digits, '.', '-' and '_', at most 60")
    if (stage.steps is None) == (stage.epochs is None):
        raise ConfigError(
            f"stage '{stage.name}' needs either steps or epochs, not both; use --steps N or --epochs N"
        )
    for key in ("steps", "epochs", "batch_size", "accumulate", "log_every", "checkpoint_every", "network_width"):
        value = getattr(stage, key)
        if value is not None and value < 1:
            raise ConfigError(f"{key}={value} of stage '{stage.name}' must be at least 1")
    for key in ("lr", "transform_lr"):
        if getattr(stage, key) is not None and not 0 < getattr(stage, key) < math.inf:
            raise ConfigError(f"{key}={getattr(stage, key)} of stage '{stage.name}' must be a number above 0")
    weights = {f"the weight of loss '{name}'": weight for name, weight in stage.losses}
    weights |= {f"looks.{name}": weight for name, weight in stage.looks}
    weights |= {f"the weight of layer '{name}'": weight for name, weight in stage.statistics_weights}
    names = ("weight_decay", "clip", "jitter", "content", "task_weight", "network_layers", "statistics_first")
    weights |= {} if stage.workers == "auto" else {"workers": stage.workers}
    for key, value in (weights | {name: getattr(stage, name) for name in names}).items():
        if not 0 <= value < math.inf:
            raise ConfigError(f"{key}={value} of stage '{stage.name}' must be a number that is not negative")
    teaches = any(weight for _, weight in stage.losses) or (stage.task_loss is not None and stage.task_weight)
    if stage.train == "student" and not teaches:
        raise ConfigError(f"stage '{stage.name}' has no loss with a weight above 0; use --loss NAME=WEIGHT")
    if stage.looks and not any(weight for _, weight in stage.looks):
        raise ConfigError(f"looks of stage '{stage.name}' have no weight above 0; leave them out")
    for key in ("ema", "warmup", "transform_share", "grow", "quantised"):
        if not 0 <= getattr(stage, key) <= 1:
            raise ConfigError(f"{key}={getattr(stage, key)} of stage '{stage.name}' must lie in 0..1")
    if stage.ema == 1:
        raise ConfigError(f"ema=1 of stage '{stage.name}' keeps the student as it began; write 0 to below 1")
    if min(stage.size) < 32:
        raise ConfigError(f"size={stage.size[0]}x{stage.size[1]} of stage '{stage.name}' is below 32 pixels")
    check_sizes(stage)
    if stage.teacher_cache not in ("none", "memory"):  # in memory maps are kept only where that can be
        _check_cache(stage)
    if not stage.teachers:
        raise ConfigError(f"stage '{stage.name}' has no teacher; use --teacher SPEC")
    check_augmentation(stage)
    check_schedule(stage)


def check_holdout(share: float) -> None:
    """Check the share of the images that a run holds out.

    Raises:
        ConfigError: it is none.
    """
    if not 0 <= share <= 0.5:
        raise ConfigError(
            f"holdout={share:g} must lie in 0..0.5: it is the share of the images that is not trained on"
        )


def check_augmentation(stage: StageKeys) -> None:
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


def check_schedule(stage: StageKeys) -> None:
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


def _check_cache(stage: StageKeys) -> None:
    """Refuse to keep what a teacher says of images that no two steps show alike, or that the cache would not know."""
    if stage.reduce:
        raise ConfigError(
            f"reduce=true of stage '{stage.name}': teacher_cache={stage.teacher_cache} knows an image by all of its "
            "pixels, which are then not decoded; use teacher_cache=memory, or leave reduce out"
        )
    changed = [f"mixer {mixer}" for mixer in stage.mixers if mixer != "none"]
    changed += [f"transform {stage.transform}"] if stage.transform != "none" else []
    changed += ["train=transform"] if stage.train == "transform" else []
    if changed:
        raise ConfigError(
            f"teacher_cache={stage.teacher_cache} of stage '{stage.name}' would keep depth of images that its "
            f"{changed[0]} changes; leave one of the two out"
        )
