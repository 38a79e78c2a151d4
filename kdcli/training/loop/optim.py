"""Optimisers, schedules as functions of the step alone, and the averaged student."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig


def optimizer_of(
    stage: StageConfig, parameters: Iterable[nn.Parameter], scales: Mapping[int, float] | None = None
) -> torch.optim.Optimizer:
    """Build a stage's optimiser; biases and norm weights (one-dimensional) decay only with ``decay_norms``.

    scales: learning rates that differ, as a factor of the stage's, by parameter (see ``lr_scales``); each makes groups
    of its own, whose ``lr_scale`` says it.
    """
    trained, known = list(parameters), scales or {}
    groups = []
    for scale in sorted({known.get(id(p), 1.0) for p in trained}, key=lambda scale: (scale != 1.0, scale)):
        mine = [p for p in trained if known.get(id(p), 1.0) == scale]
        decayed = [p for p in mine if p.ndim > 1 or stage.decay_norms]
        kept = [] if stage.decay_norms else [p for p in mine if p.ndim <= 1]
        groups += [
            {"params": decayed, "weight_decay": stage.weight_decay, "lr_scale": scale},
            {"params": kept, "weight_decay": 0.0, "lr_scale": scale},
        ]
    # A stage in which only inner updates learn has an optimiser too, with nothing to do.
    groups = [group for group in groups if group["params"]] or [{"params": []}]
    # One kernel for all of an update; on a CPU it would change last bits for little.
    more: dict[str, Any] = {"fused": True} if trained and all(p.device.type == "cuda" for p in trained) else {}
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=stage.lr, momentum=0.9, **more)
    kind = torch.optim.AdamW if stage.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=stage.lr, betas=stage.betas, **more)


def clipped(parameters: Iterable[nn.Parameter], most: float) -> Tensor:
    """Scale gradients so that their norm over all parameters is at most ``most``; return what it was.

    As ``torch.nn.utils.clip_grad_norm_``, but added in float64: there a parameter whose gradient is zero changes how
    the others are added, and so the last bits of all of them.
    """
    trained = list(parameters)
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    norms = torch.stack(list(torch._foreach_norm(gradients)))
    total: Tensor = torch.linalg.vector_norm(norms, dtype=torch.float64).float()
    if total.device.type == "cpu" and total + 1e-6 <= most:
        return total  # a product with 1, which other devices take rather than wait
    torch.nn.utils.clip_grads_with_norm_(trained, most, total)
    return total


def has_learned(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether an optimiser remembers any gradient other than zero; waits for the device."""
    kept = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    return any(bool(value.any()) for value in kept if isinstance(value, Tensor))


def lr_scales(module: nn.Module) -> dict[int, float]:
    """Return by parameter the factor of the learning rate that a part asks for with its ``lr_scale``."""
    found: dict[int, float] = {}
    for part in module.modules():
        scale: Any = getattr(part, "lr_scale", None)
        if scale is not None:
            found |= {id(p): float(scale) for p in part.parameters()}
    return found


def lr_factor(stage: StageConfig, step: int, total: int) -> float:
    """Return the learning rate of a step as a share of the stage's ``lr``.

    onecycle: cosine up from ``start_factor`` over the warm-up, cosine down to ``end_factor``. cosine: linear up, cosine
    down to 0. step: halved at each quarter.
    """
    done = step / max(total, 1)
    if stage.schedule == "constant":
        return 1.0
    if stage.schedule == "step":
        return 0.5 ** int(done * 4)
    rising = stage.warmup > 0 and done < stage.warmup
    if stage.schedule == "cosine":
        return (
            (done / stage.warmup)
            if rising
            else 0.5 * (1 + math.cos(math.pi * (done - stage.warmup) / (1 - stage.warmup + 1e-12)))
        )
    if rising:
        return _anneal(stage.start_factor, 1.0, done / stage.warmup)
    return _anneal(1.0, stage.end_factor, (done - stage.warmup) / (1 - stage.warmup + 1e-12))


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))


class Averaged:
    """An exponential average of a model's floating-point state; other buffers are copied.

    The decay rises from 0.1 with the steps, so that a short run is not held back by its first weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.state: dict[str, Tensor] = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        kept, current = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                kept.append(self.state[name])
                current.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(kept, current, 1 - decay)

    def load(self, state: dict[str, Tensor], steps: int) -> None:
        """Restore a saved average."""
        for name, value in self.state.items():
            value.copy_(state[name])
        self.steps = steps
