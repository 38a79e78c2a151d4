"""Whether what teachers say is kept in main memory: where that saves time, can be, and fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError
from kdcli.networks.read_out import read_out_of
from kdcli.protocols import Source
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.memory_maps import MEMORY, MemoryMaps
from kdcli.training.batches.order import ENDLESS
from kdcli.training.batches.room import room

AGAIN = 2.0
"""How often an image is shown at least, for each time that a teacher is asked about it."""


def memory_maps(
    stage: StageConfig, source: Source, teachers: Mapping[str, nn.Module], device: torch.device
) -> MemoryMaps | None:
    """Return a stage's maps, none made yet; None where keeping them does not save time or they do not fit.

    Raises:
        ConfigError: a storage of files.
    """
    if stage.teacher_storage == "png16":
        raise ConfigError(
            f"teacher_storage=png16 of stage '{stage.name}' is of files; use float16 or float32 with "
            f"teacher_cache={MEMORY}"
        )
    if why_asked(stage, source, teachers) is not None:
        return None
    whole = stage.crop is not None or stage.rotate > 0 or len(teachers) > 1
    return MemoryMaps(
        teachers=teachers, flips=_flips(stage, teachers), size=stage.size if whole else None,
        half=stage.teacher_storage != "float32", device=device,
    )


def why_asked(stage: StageConfig, source: Source, teachers: Mapping[str, nn.Module]) -> str | None:
    """Return in words why teachers are asked in every step although their maps may be kept in memory; None if not."""
    changed = [mixer for mixer in stage.mixers if mixer != "none"]
    changed += [f"transform {stage.transform}"] if stage.transform != "none" else []
    if changed:
        return f"{changed[0]} changes the images"
    if len(source) >= ENDLESS:
        return "no image comes again"
    times = 1 + max(_flips(stage, teachers), default=False)
    rounds = stage.epochs or (stage.steps or 0) * stage.accumulate * stage.batch_size / len(source)
    if rounds < AGAIN * times:
        return f"an image is shown {rounds:.1f} times"
    wanted, limit = len(source) * maps_bytes(stage, len(teachers)), room()
    if wanted > limit:
        return (
            f"their maps of {len(source)} images take {wanted / 2**30:.3g} GiB of memory, {limit / 2**30:.3g} are for "
            "them; teacher_cache=DIR keeps them on a disk"
        )
    return None


def fill(maps: MemoryMaps, feed: Feed, told: Callable[[str, int, int], None]) -> None:
    """Ask about every image in the source's order, so that the maps of a run that goes on are the same again.

    ``feed`` gives the stage's images with these maps.
    """
    count, size = len(feed.source), feed.batch_size
    chosen = [range(first, min(first + size, count)) for first in range(0, count, size)]
    for indices, _ in zip(chosen, feed.batches_of(chosen), strict=True):
        told("teacher maps", indices.stop, count)


def _flips(stage: StageConfig, teachers: Mapping[str, nn.Module]) -> tuple[bool, ...]:
    if stage.teacher_flip != "auto":
        return (stage.teacher_flip == "true",) * len(teachers)
    return tuple(read_out_of(teacher).flip for teacher in teachers.values())


def maps_bytes(stage: StageConfig, teachers: int) -> int:
    """Return the most bytes that the maps of an image take."""
    return teachers * stage.size[0] * stage.size[1] * (4 if stage.teacher_storage == "float32" else 2)
