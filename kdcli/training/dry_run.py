"""One real step of every stage, without writing anything: does it work, what does it cost."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import torch

from kdcli.config import RunConfig
from kdcli.training import loop
from kdcli.training.parts import Workshop


def measure(config: RunConfig, device: torch.device) -> dict[str, Any]:
    """Build everything, do two steps of each student stage (the second is timed) and return what it cost.

    Raises:
        KdcliError: whatever the run itself would refuse.
    """
    shop = Workshop(config=config, device=device)
    student, spec = shop.student()
    shop.preflight(student)
    rows, terms = [], {}
    for stage in config.stages:
        if stage.train != "student":
            continue
        # What an earlier stage fits does not exist yet; it costs a small convolution network more.
        fitted = stage.transform == "fitted"
        task = shop.task(_without_transform(stage) if fitted else stage, student, None)
        feed = shop.feed(stage)
        batches = feed.batches(0, 2)
        task.build(next(feed.batches(0, 1)))
        task.student.train()
        seconds = 0.0
        for step, batch in enumerate(batches):
            begin = time.perf_counter()
            result = task(batch, step, 2)
            result.loss.backward()
            terms = {name: round(float(value), 5) for name, value in result.terms.items()}
            seconds = time.perf_counter() - begin
        total = loop.total_steps(stage, feed)
        rows.append(
            {
                "stage": stage.name,
                "steps": total,
                "steps_per_epoch": feed.steps_per_epoch,
                "seconds_per_step": seconds,
                "seconds_per_epoch": seconds * feed.steps_per_epoch,
                "seconds": seconds * total * stage.accumulate,
                "memory_mib": _peak_memory(device),
                "trained_parameters": sum(p.numel() for p in task.trained_parameters()),
            }
        )
    models = {spec: student, **shop.teachers(config.main)}
    return {
        "recipe": config.recipe,
        "stages": rows,
        "terms": terms,
        "parameters": {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()},
    }


def _without_transform(stage: Any) -> Any:
    from dataclasses import replace

    return replace(stage, transform="none")


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
