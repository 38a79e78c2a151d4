"""How fast a model is here and how large its weights are: what a reader of a table asks next.

A glance, not a benchmark: models are timed one after the other in a process that did other work before. ``kdcli bench``
measures them in turn, round by round.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from kdcli.evals.cost import form_of
from kdcli.evals.results import Result
from kdcli.networks.modes import modes_kept

_MOST, _SECONDS = 20, 0.5
"""Passes of a model that are timed, and when no further one is begun."""
_OWN = 0.8
"""Share of the fastest pass in which this process ran, below which the machine was busy with something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What one model needs. seconds: the fastest pass for one image of ``size``; None where it cannot be shown one.

    bytes: of its parameters and buffers as they are in memory; None where it has none. disturbed: other work took the
    processor while it was timed, so that it may well be faster.
    """

    seconds: float | None = None
    size: tuple[int, int] | None = None
    bytes: int | None = None
    disturbed: bool = False


def speeds_of(
    models: Mapping[str, nn.Module], results: Mapping[str, Result], device: torch.device | str | None = None
) -> dict[str, Speed]:
    """Return the speed of each model at the size that its multiply-adds were counted at, by name."""
    found = {}
    for name, model in models.items():
        where = torch.device(device) if device is not None else _place_of(model)
        found[name] = speed_of(model, results[name].cost.size, where)
    return found


@torch.inference_mode()
def speed_of(model: nn.Module, size: tuple[int, int] | None, device: torch.device) -> Speed:
    """Return how fast a model is in the form that is exported, and what its weights take."""
    form = form_of(model)
    held = sum(one.nbytes for one in (*form.parameters(), *form.buffers())) or None
    if size is None:
        return Speed(bytes=held)
    try:
        with modes_kept(form):
            form.to(device).eval()
            seconds, own = _timed(form, torch.rand(1, 3, *size, device=device))
    except Exception:  # a model that was measured well: one that takes more than an image costs no report
        return Speed(bytes=held)
    disturbed = device.type == "cpu" and own < _OWN * seconds
    return Speed(seconds=seconds, size=size, bytes=held, disturbed=disturbed)


def _timed(model: nn.Module, image: torch.Tensor) -> tuple[float, float]:
    """Return the seconds of the fastest pass, and those in which this process had a processor meanwhile."""

    def once() -> tuple[float, float]:
        begin, own = time.perf_counter(), time.process_time()
        model(image)
        if image.is_cuda:
            torch.cuda.synchronize(image.device)
        return time.perf_counter() - begin, time.process_time() - own

    once()  # the first pass also allocates
    passes, begin = [once()], time.perf_counter()
    while len(passes) < _MOST and time.perf_counter() - begin < _SECONDS:
        passes.append(once())
    return min(passes)  # what else the machine does only ever adds


def _place_of(model: nn.Module) -> torch.device:
    return next((one.device for one in model.parameters()), torch.device("cpu"))
