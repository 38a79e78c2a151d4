"""The largest batch that fits: tried out on a GPU, computed on a CPU from what a few small ones take.

A GPU says when it is full, and nothing is lost. A CPU does not: the system begins to swap, or ends the process. So
there the growth of the process from one size to the next is measured, and compared with what machine and control groups
have left.
"""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from kdcli.choosing import Built
from kdcli.choosing.chosen import Found, TryOut
from kdcli.config import RunConfig, StageConfig
from kdcli.devices import keep_freed_memory
from kdcli.errors import ConfigError, out_of_memory
from kdcli.limits import memory
from kdcli.many.group import asked_for
from kdcli.training.batches.room import LEAST
from kdcli.training.loop.optim import Averaged, clipped, lr_scales, optimizer_of
from kdcli.training.run.loss_parts import loss_parts
from kdcli.training.run.trial import trial_of
from kdcli.training.run.workshop import Workshop
from kdcli.training.seeds import global_random_kept

MOST = 1024
"""Images in a batch beyond which nothing is gained, whatever there is room for."""
FIRST = 2
"""Images of the first try: batch norms want more than one."""
GPU_SHARE, CPU_SHARE = 0.9, 0.5
"""Of the memory that is free: evaluation comes too, and on a CPU decoded images and teachers' maps are kept in it."""
MEASURABLE = 2**26
"""Bytes by which a process has to grow for the growth to be one of its batch."""
_GIB = 2**30


class Gauge(Protocol):
    """What one kind of device has room for."""

    def fits(self, images: int) -> bool:
        """Return whether a batch of so many images fits, by trying or by what is known."""

    def told(self, images: int) -> str:
        """Return in words what such a batch takes of what there is."""


def largest_batch(device: torch.device, told: Callable[[str], None]) -> TryOut:
    """Return what finds the largest batch of a stage on a device; ``told`` hears that it is at work.

    It is ``FIRST`` times a power of two, so that small differences of what is free do not change it, or all images that
    the stage has. Raises, when asked: ConfigError: not even the smallest batch fits, or several processes would share
    it. KdcliError: whatever the run itself would refuse.
    """

    def find(config: RunConfig, built: Built, name: str) -> Found:
        if asked_for() > 1:
            raise ConfigError("--batch-size auto is found by one process, and here are several; give a number")
        told(f"{name}: looking for the largest batch that fits")
        shop = Workshop(config=config, device=device, built=built)
        stage = next(stage for stage in config.stages if stage.name == name)
        twin = () if config.twin is None else config.twin.stages(config.stages)
        stages = list(dict.fromkeys([stage, *(other for other in twin if other.name == name)]))
        least = max([1, *(part.loss.needs.min_batch for part in loss_parts(stage, config.seed))])
        most = max(min(MOST, len(shop.images(stage))), least)
        gauge: Gauge = _Gpu(shop, stages) if device.type == "cuda" else _Cpu(shop, stages)
        images = _doubled(gauge, least, most)
        if images is None:
            height, width = stage.seen
            raise ConfigError(
                f"not even {least} image{'s' if least > 1 else ''} of {height}x{width} at a time fit into the memory "
                f"of {device} in stage '{name}'; use a smaller --size, or a smaller network"
            )
        return Found(images=images, why=f"batch of {images} ({gauge.told(images)})")

    return find


def _doubled(gauge: Gauge, least: int, most: int) -> int | None:
    """Return the largest size that fits; None where the least one does not."""
    images = min(max(FIRST, least), most)
    while not gauge.fits(images):
        if images == least:
            return None
        images = max(images // 2, least)
    while images < most and gauge.fits(min(images * 2, most)):
        images = min(images * 2, most)
    return images


class _Gpu:
    def __init__(self, shop: Workshop, stages: list[StageConfig]) -> None:
        self._shop, self._stages, self._peaks = shop, stages, dict[int, int]()
        torch.cuda.empty_cache()
        mine = torch.cuda.memory_reserved(shop.device)
        self._free = torch.cuda.mem_get_info(shop.device)[0] + mine

    def fits(self, images: int) -> bool:
        torch.cuda.reset_peak_memory_stats(self._shop.device)
        whole = all(_works(self._shop, stage, images) for stage in self._stages)
        torch.cuda.empty_cache()
        self._peaks[images] = torch.cuda.max_memory_allocated(self._shop.device)
        return whole and self._peaks[images] <= GPU_SHARE * self._free

    def told(self, images: int) -> str:
        return f"a step takes {self._peaks[images] / _GIB:.3g} of the GPU's {self._free / _GIB:.3g} GiB"


class _Cpu:
    def __init__(self, shop: Workshop, stages: list[StageConfig]) -> None:
        keep_freed_memory()  # as training does
        self._shop, self._stages, self._peaks = shop, stages, dict[int, int]()
        free = memory.free()
        self._free = LEAST if free is None else free
        self._begin = _held()

    def fits(self, images: int) -> bool:
        if (expected := self._expected(images)) is not None:
            return expected <= CPU_SHARE * self._free
        if not all(_works(self._shop, stage, images) for stage in self._stages):
            return False
        self._peaks[images] = _peak()
        return self._peaks[images] - self._begin <= CPU_SHARE * self._free

    def _expected(self, images: int) -> float | None:
        """Return how far the process will have grown; None where only a try tells, and a try is safe."""
        sizes = sorted(self._peaks)
        if not sizes:
            return None
        last = self._peaks[sizes[-1]]
        if len(sizes) > 2:
            # A peak of before, when a network was read, hides what the first sizes took.
            grown, rose = last - self._peaks[sizes[-2]], self._peaks[sizes[-2]] > self._peaks[sizes[-3]]
            if rose and grown >= MEASURABLE:
                return last - self._begin + grown / (sizes[-1] - sizes[-2]) * (images - sizes[-1])
        worst = float(last - self._begin) * images / sizes[-1]
        return worst if worst > CPU_SHARE * self._free else None

    def told(self, images: int) -> str:
        grown = self._expected(images)
        taken = self._peaks[images] - self._begin if grown is None else grown
        return f"a step takes about {taken / _GIB:.2g} of the {self._free / _GIB:.3g} GiB that are free"


def _works(shop: Workshop, stage: StageConfig, images: int) -> bool:
    """Do two updates with so many images; return whether there was memory for them."""
    try:
        _updates(shop, replace(stage, batch_size=images))
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return False
    finally:
        gc.collect()
    return True


def _updates(shop: Workshop, stage: StageConfig) -> None:
    stages = tuple(stage if other.name == stage.name else other for other in shop.config.stages)
    alone = Workshop(config=replace(shop.config, stages=stages), device=shop.device, built=shop.built)
    trial = trial_of(alone, stage, alone.network(stage)[0])
    task = trial.task
    optimizer = optimizer_of(stage, task.trained_parameters(), lr_scales(task.plugins))
    average = Averaged(task.student, stage.ema) if stage.ema else None
    batch = trial.taught(next(trial.feed.batches(0, 1)))
    with global_random_kept(shop.device):
        for step in range(2):  # the first one makes what the optimiser remembers
            optimizer.zero_grad(set_to_none=True)
            trial.step(batch, step, 2)
            clipped(task.trained_parameters(), stage.clip or float("inf"))
            optimizer.step()
            task.after_step()
            if average is not None:
                average.update(task.student)
    if shop.device.type == "cuda":
        torch.cuda.synchronize(shop.device)


def _peak() -> int:
    """Return the most bytes that this process has held at once."""
    told = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return told if sys.platform == "darwin" else told * 1024


def _held() -> int:
    """Return the bytes that this process holds."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    return _peak()
