"""What the files of a run take on the disk at most, against what is free there: refused before the run, not in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError
from kdcli.training.batches.memory_maps import MemoryMaps
from kdcli.training.batches.teacher_cache import left
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.task import DistillTask

MOMENTS = {"adamw": 2, "adam": 2, "sgd": 1}
"""Numbers that an optimiser remembers for each weight."""
LINE = 1000
"""Bytes of a logged step: in ``metrics.jsonl``, in what a logger writes, and in a report."""
REST = 2**24
"""Pictures, report, log."""
EXPORTS = 2
"""How many times its weights an exported student takes: some formats are written by way of another file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes that a run takes at most, by what for."""

    checkpoints: int
    students: int
    """Of run and twin, and of stages."""
    export: int
    cache: int
    """Depth of teachers that is still to be kept, where that lies on the disk of the run."""
    rest: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.checkpoints + self.students + self.export + self.cache + self.rest

    def __str__(self) -> str:
        parts = {"checkpoints": self.checkpoints, "students": self.students, "the exported file": self.export,
                 "the teacher cache": self.cache, "logs and pictures": self.rest}  # fmt: skip
        return ", ".join(f"{name} {_text(count)}" for name, count in parts.items() if count)


def state_bytes(task: DistillTask) -> int:
    """Return what the checkpoint of a stage takes."""
    trained = sum(parameter.numel() * parameter.element_size() for parameter in task.trained_parameters())
    average = _bytes(task.student) if task.stage.ema else 0
    return _bytes(task.student) + _bytes(task.plugins) + MOMENTS[task.stage.optimizer] * trained + average


def disk_of(shop: Workshop, student: nn.Module, states: Iterable[tuple[StageConfig, int]], place: Path) -> Disk:
    """Return what a run takes at most. states: of each stage what its checkpoint takes; place: the run's folder."""
    config, weights = shop.config, _bytes(student)
    variants = 1 if config.twin is None else 2
    several = sum(stage.train == "student" for stage in config.stages) > 1
    kept = variants * sum(size for _, size in states) if several else 0
    # One more than are kept: the oldest goes when the newest is whole.
    most = max(((stage.keep_checkpoints + 1) * size for stage, size in states), default=0)
    logged = sum((stage.steps or 0) // stage.log_every for stage in config.stages)
    return Disk(
        checkpoints=most + kept, students=variants * weights + (kept // variants if several else 0),
        export=0 if config.export is None else EXPORTS * weights, cache=_cache(shop, place),
        rest=REST + variants * logged * LINE,
    )


def check_room(disk: Disk, place: Path) -> None:
    """Check that a run fits on its disk; what of it is there already counts as free.

    Raises:
        ConfigError: it does not.
    """
    files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else []
    wanted = max(disk.total - sum(path.stat().st_size for path in files), 0)
    free = shutil.disk_usage(_there(place)).free
    if wanted > free:
        raise ConfigError(
            f"the run takes up to {_text(wanted)} more on the disk of '{place}' ({disk}), where {_text(free)} are "
            "free; make room, name another --out, or give --no-disk-check"
        )


def _cache(shop: Workshop, place: Path) -> int:
    """Return what is to be kept of teachers on the same disk."""
    disk, found = _there(place).stat().st_dev, dict[str, int]()
    for stage in shop.config.stages:
        cache = shop.taught(stage)
        if cache is None or isinstance(cache, MemoryMaps):
            continue
        for store in cache.reader.stores:
            if _there(store.path).stat().st_dev == disk:
                count = left(store, stage, shop.images(stage))
                found[str(store.path)] = max(found.get(str(store.path), 0), store.bytes_for(count))
    return sum(found.values())


def _there(path: Path) -> Path:
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())


def _bytes(module: nn.Module) -> int:
    tensors: Iterable[Tensor] = module.state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _text(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
