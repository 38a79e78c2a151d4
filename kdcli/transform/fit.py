"""Fit a transformation network to a teacher's feature statistics."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, TrainingError
from kdcli.networks.untouched import untouched
from kdcli.transform.network import TransformNetwork
from kdcli.transform.recorded import Statistics, probe_for
from kdcli.transform.statistics import Norm, Probe
from kdcli.types import Batch

CHECK_EVERY = 20
"""Steps between looks at the loss from the host: reading it earlier would make the device wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """One layer on the held-out batches: distance of means plus variances, unweighted."""

    name: str
    before: float
    after: float
    weight: float = 1.0
    """With which it counts in the loss; 0: it was not fitted to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """What a fit achieved, measured on the same batches before and after, on which no gradient was taken."""

    before: float
    """Weighted statistics loss with the network as it came."""
    after: float
    change: float
    """Mean |G(x) - x| of the fitted network."""
    layers: tuple[LayerReport, ...]
    """All layers of the teacher in the order in which they run, also those that were not chosen."""
    steps: int
    seconds: float

    @property
    def improved(self) -> bool:
        """Whether transformed held-out images are closer to the teacher's statistics."""
        return self.after < self.before

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON-able document."""
        layers = [
            {"name": layer.name, "before": layer.before, "after": layer.after, "weight": layer.weight}
            for layer in self.layers
        ]
        return {
            "before": self.before, "after": self.after, "change": self.change, "steps": self.steps,
            "seconds": self.seconds, "layers": layers,
        }


def fit(
    network: TransformNetwork,
    teacher: nn.Module,
    batches: Iterable[Batch] | Callable[[int], Batch],
    *,
    steps: int,
    lr: float = 1e-3,
    content: float = 1.0,
    norm: Norm = "l2",
    layers: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    first: float = 1.0,
    statistics: Statistics | None = None,
    held_out: Sequence[Batch] | None = None,
    on_step: Callable[[int, float], None] | None = None,
    resume: Mapping[str, Any] | None = None,
    after_step: Callable[[int, Callable[[], dict[str, Any]]], None] | None = None,
) -> FitReport:
    """Fit the network in place: Adam on statistics loss / its value before + ``content`` * ``content_gap``.

    The statistics are those of the teacher's batch norms, or recorded ones (``statistics``), of all ``layers`` or of
    some (see ``choice``), with their ``weights`` and that of the ``first`` one. The first part is 1 at the start
    whatever the teacher and the norm, so that ``content`` means the same for all. Of the state at the start and after
    each tenth of the steps, the best on the first batch set aside is kept; the report is measured on the others.

    The teacher is frozen and in evaluation mode throughout: the backward pass goes through it to the image alone, its
    weights and running statistics do not change, which is checked. ``batches`` are images on the network's device, or a
    function of the step. Without ``held_out`` the first two batches (of a function: those of the two steps after the
    last) are set aside. ``on_step`` is told the step and the loss, every ``CHECK_EVERY`` steps. ``after_step`` hears
    after each step how many are done, with a function that gives the state; with one as ``resume``, and ``batches`` as
    a function of the step, the fit goes on there and comes to the same numbers.

    Raises:
        ConfigError: the teacher has no statistics or not the layers, cuts the gradient, or the batches run out.
        PluginError: the teacher changed.
        TrainingError: the loss is not a number.
    """
    if steps < 1:
        raise ConfigError(f"fit-transform: steps={steps} must be at least 1")
    begin = time.perf_counter() - (resume["seconds"] if resume else 0.0)
    start = int(resume["step"]) if resume else 0
    feed, aside = _feed(batches, steps, held_out, start)
    choose, report_on = aside[:1], aside[1:] or aside
    made = probe_for(teacher, statistics, norm=norm, layers=layers, weights=weights, first=first)
    whole = probe_for(teacher, statistics, norm=norm) if layers else None
    who = str(getattr(getattr(teacher, "provenance", None), "name", type(teacher).__name__))
    with untouched({who: teacher}), _frozen(teacher), made as probe:
        before, layers_before, _, _ = measure(network, teacher, report_on, probe, whole)
        counted = probe.applied()
        if resume:
            before, layers_before = resume["before"], resume["layers"]
        share = 1 / max(before, 1e-12)

        def objective() -> float:
            value, _, _, gap = measure(network, teacher, choose, probe)
            return share * value + content * gap

        optimiser = torch.optim.Adam(network.parameters(), lr=lr, betas=(0.9, 0.99))
        if resume:
            best, kept = resume["best"], resume["kept"]
            network.load_state_dict(resume["network"])
            optimiser.load_state_dict(resume["optimizer"])
        else:
            best, kept = objective(), _copy(network)

        def state(done: int) -> dict[str, Any]:
            return {
                "step": done, "network": network.state_dict(), "optimizer": optimiser.state_dict(), "best": best,
                "kept": kept, "before": before, "layers": layers_before, "seconds": time.perf_counter() - begin,
            }

        for step, batch in zip(range(start, steps), feed, strict=False):
            network.train()
            for group in optimiser.param_groups:
                group["lr"] = lr * (0.5 * (1 + math.cos(math.pi * step / steps)))
            probe.clear()
            moved = network(batch.image)
            teacher(moved)
            loss = share * probe.loss() + content * content_gap(moved, batch.image)
            if not probe.loss().requires_grad:
                raise ConfigError("fit-transform: the teacher cuts the gradient to its image; use another teacher")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            if step % CHECK_EVERY == 0 or step == steps - 1:
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise TrainingError(f"fit-transform: the loss is {value} at step {step}; lower --lr (now {lr})")
                if on_step is not None:
                    on_step(step, value)
            if (step + 1) % max(steps // 10, 1) == 0 or step == steps - 1:
                now = objective()
                if now < best:
                    best, kept = now, _copy(network)
            if after_step is not None:
                after_step(step + 1, partial(state, step + 1))
        network.load_state_dict(kept)
        after, layers_after, change, _ = measure(network, teacher, report_on, probe, whole)
    reports = tuple(
        LayerReport(name=name, before=value, after=layers_after[name], weight=counted.get(name, 0.0))
        for name, value in layers_before.items()
    )
    return FitReport(
        before=before, after=after, change=change, layers=reports, steps=steps, seconds=time.perf_counter() - begin
    )


def content_gap(moved: Tensor, image: Tensor) -> Tensor:
    """Return the mean absolute change of the luminance's horizontal and vertical differences.

    Keeps edges where they are while brightness and colour may drift freely.
    """
    weights = moved.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    change = ((moved - image) * weights).sum(1)
    return (change[:, :, 1:] - change[:, :, :-1]).abs().mean() + (change[:, 1:] - change[:, :-1]).abs().mean()


@torch.no_grad()
def measure(
    network: nn.Module, teacher: nn.Module, batches: Sequence[Batch], probe: Probe, whole: Probe | None = None
) -> tuple[float, dict[str, float], float, float]:
    """Return weighted loss, distance per layer, mean |G(x) - x| and content gap, each averaged over batches.

    ``probe`` has been entered. With ``whole``, which has not, the distances are of its layers.
    """
    network.eval()
    losses: list[Tensor] = []
    changes: list[Tensor] = []
    gaps: list[Tensor] = []
    distances: dict[str, list[Tensor]] = {}
    with whole or nullcontext():
        for batch in batches:
            for one in (probe, whole or probe):
                one.clear()
            moved = network(batch.image)
            teacher(moved)
            losses.append(probe.loss())
            changes.append((moved - batch.image).abs().mean())
            gaps.append(content_gap(moved, batch.image))
            for name, (mean, variance) in (whole or probe).gaps().items():
                distances.setdefault(name, []).append(mean + variance)
    per_layer = {name: float(torch.stack(values).mean()) for name, values in distances.items()}
    loss, change, gap = (float(torch.stack(values).mean()) for values in (losses, changes, gaps))
    return loss, per_layer, change, gap


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _feed(
    batches: Iterable[Batch] | Callable[[int], Batch], steps: int, held_out: Sequence[Batch] | None, start: int
) -> tuple[Iterator[Batch], Sequence[Batch]]:
    if callable(batches):
        aside = [batches(steps), batches(steps + 1)] if held_out is None else held_out
        return map(batches, range(start, steps)), aside
    items = iter(batches)
    aside = list(itertools.islice(items, 2)) if held_out is None else held_out
    if not aside:
        raise ConfigError("fit-transform: the source gave no batch; lower --batch-size or use more images")
    return _counted(items, steps), aside


def _counted(items: Iterator[Batch], steps: int) -> Iterator[Batch]:
    for step in range(steps):
        batch = next(items, None)
        if batch is None:
            raise ConfigError(f"fit-transform: out of images after {step} of {steps} steps; give more images")
        yield batch


@contextmanager
def _frozen(teacher: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode without gradients to its weights; restore both afterwards."""
    wanted = [(parameter, parameter.requires_grad) for parameter in teacher.parameters()]
    modes = [(module, module.training) for module in teacher.modules()]
    teacher.eval().requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)
        for module, mode in modes:
            module.training = mode
