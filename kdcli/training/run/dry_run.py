"""One real step of every stage, without writing anything: does it work, what does it cost."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from kdcli.choosing import Built
from kdcli.config import RunConfig, StageConfig
from kdcli.config.references import origin_of
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.growing import work
from kdcli.training.batches.memory_maps import MemoryMaps
from kdcli.training.batches.taught import Taught
from kdcli.training.batches.teacher_cache import cost
from kdcli.training.loop import train as loop
from kdcli.training.run.asking import from_outside, images_shown
from kdcli.training.run.choice import choice_of
from kdcli.training.run.disk import disk_of
from kdcli.training.run.fit_stage import Fitting
from kdcli.training.run.folder import RUNS
from kdcli.training.run.preflight import preflight
from kdcli.training.run.trial import Trial, trial_of
from kdcli.training.run.workshop import Workshop
from kdcli.training.seeds import global_random_kept
from kdcli.transform import fit
from kdcli.types import Batch


def measure(
    config: RunConfig, device: torch.device, repeats: int = 1, *, built: Built | None = None, fits: bool = False
) -> dict[str, Any]:
    """Build everything, do a few steps of each student stage and return what they cost; with ``fits``, of fits too.

    The first step warms up; the time of a step is the median of the ``repeats`` that follow. From the mean of these
    follows how many images teachers from outside will be shown in all steps, each as often as it is shown
    (``teacher_images``); the manifest of a run counts them. built: teachers and sources that are there already.

    Raises:
        KdcliError: whatever the run itself would refuse.
    """
    shop = Workshop(config=config, device=device, built=built or Built())
    student, spec = shop.student()
    disk = disk_of(shop, student, preflight(shop, student), RUNS)
    networks: dict[str | None, nn.Module] = {None: student}
    rows: list[dict[str, Any]] = []
    terms: dict[str, dict[str, float]] = {}
    for stage in config.stages:
        if stage.train != "student":
            continue
        origin = origin_of(config.stages, stage)
        if origin not in networks:
            networks[origin] = shop.network(stage)[0]
        trial = trial_of(shop, stage, networks[origin])
        task, feed, cache, asked = trial.task, trial.feed, trial.cache, 0.0
        batches = feed.batches(0, 1 + repeats)
        times, watch, shown, making = [], loop.Watch(stage), [], 0.0
        with global_random_kept(device), images_shown(from_outside(shop, stage)) as count:
            for step, batch in enumerate(batches):
                before = count()
                if cache is not None:
                    batch, asked = _taught(trial, batch)
                    making, before = (count() - before) / len(batch), count()
                started = time.perf_counter()
                result = trial.step(batch, step, 1 + repeats)
                task.after_step()
                shown.append(count() - before)
                watch.see(batch.ids, result)
                watch.check(step + 1)
                # Reading the terms waits for the device.
                told = {name: round(float(value), 5) for name, value in result.terms.items()}
                terms[stage.name] = terms.get(stage.name, told)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                times.append(time.perf_counter() - started)
        task.end_training()
        seconds = statistics.median(times[1:])
        total = loop.total_steps(stage, feed)
        share = 1.0 if task.shows_teachers else work(stage.seen, stage.grow)
        kept = None if cache is None else _cost(cache, stage, feed, asked)
        rows.append(
            {
                "stage": stage.name,
                "steps": total,
                "steps_per_epoch": feed.steps_per_epoch,
                "seconds_per_step": seconds,
                "seconds_per_epoch": seconds * feed.steps_per_epoch,
                "seconds": seconds * total * stage.accumulate * share,
                "memory_mib": peak_memory(device),
                "teacher_images": round(
                    statistics.fmean(shown[1:]) * total * stage.accumulate + (kept["missing"] * making if kept else 0)
                ),
                "terms": terms[stage.name],
                "trained_parameters": sum(p.numel() for p in task.trained_parameters()),
                **({} if kept is None else {"teacher_cache": kept}),
            }
        )
    fitted_rows = [_fit_cost(shop, stage) for stage in config.stages if fits and stage.train == "transform"]
    models = {spec: student, **shop.teachers(config.main)}
    return {
        "recipe": config.recipe,
        "choice": choice_of(config),
        "stages": rows,
        "fits": fitted_rows,
        "total": _total(config, [*fitted_rows, *rows]),
        "terms": terms[config.main.name],
        "disk": {**asdict(disk), "total": disk.total},
        **({} if shop.holdout is None else {"holdout": shop.holdout.document()}),
        "parameters": {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()},
    }


def _fit_cost(shop: Workshop, stage: StageConfig) -> dict[str, Any]:
    """Do three steps of a fit and return what the last costs, with its look at the images that are set aside."""
    parts = Fitting.of(shop, stage)
    begun: list[tuple[float, int]] = []
    with images_shown(from_outside(shop, stage)) as count:

        def batch_at(step: int) -> Batch:
            begun.append((time.perf_counter(), count()))
            return parts.batch_at(step)

        fit(parts.network, parts.teacher, batch_at, steps=3, **parts.options)
    (before, shown_before), (after, shown) = begun[-2:]
    return {
        "stage": stage.name,
        "steps": parts.steps,
        "seconds_per_step": after - before,
        "seconds": (after - before) * parts.steps,
        "memory_mib": peak_memory(shop.device),
        "teacher_images": (shown - shown_before) * parts.steps,
        "trained_parameters": sum(p.numel() for p in parts.network.parameters()),
    }


def _total(config: RunConfig, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what all stages take, and with the twin's, each taken to be as slow as the run's of its name."""
    names = [] if config.twin is None else [stage.name for stage in config.twin.stages(config.stages)]
    seconds = sum(row["seconds"] for row in rows)
    return {
        "steps": sum(row["steps"] for row in rows),
        "seconds": seconds,
        "seconds_with_twin": seconds + sum(row["seconds"] for row in rows if row["stage"] in names),
        "memory_mib": max((row["memory_mib"] for row in rows), default=0.0),
        "teacher_images": sum(row["teacher_images"] for row in rows),
    }


def _taught(trial: Trial, batch: Batch) -> tuple[Batch, float]:
    """Return a batch with its teachers' depth, which is kept nowhere, and the seconds that an image took."""
    started = time.perf_counter()
    batch = trial.taught(batch)
    if batch.image.device.type == "cuda":
        torch.cuda.synchronize(batch.image.device)
    return batch, (time.perf_counter() - started) / len(batch)


def _cost(cache: Taught | MemoryMaps, stage: StageConfig, feed: Feed, seconds: float) -> dict[str, Any]:
    """Return what making the missing maps of a cache takes: most bytes, and seconds."""
    told = cost(cache, stage, feed.source)
    return {**told, "seconds": told["missing"] * seconds}


def peak_memory(device: torch.device) -> float:
    """Return the most MiB that this process took so far; on CUDA those of its tensors."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
