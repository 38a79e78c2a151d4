"""The models that checks work with: an author's own where they are given, otherwise toys; lent, never given away."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.plugins import registry
from kdcli.protocols import DepthModel, Loss
from kdcli.training.seeds import seeded
from kdcli.types import Prediction

Given = nn.Module | str
"""A model of an author: the network, or its spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What an author gives in the place of toys."""

    student: nn.Module | None = None
    teachers: Mapping[str, nn.Module] = field(default_factory=dict)
    task: Loss | None = None

    @property
    def models(self) -> bool:
        """Whether a network is given: it may not take the toys' small images."""
        return self.student is not None or bool(self.teachers)


def own(
    student: Given | None = None, teachers: Given | Mapping[str, Given] | None = None, task: Loss | str | None = None,
    *, seed: int = 0,
) -> Own:
    """Return what an author gives: networks or their specs, teachers by name, a task loss with a per-pixel map.

    Raises:
        ConfigError: a network that is no depth model, a task loss without a map.
    """
    named = {} if teachers is None else teachers if isinstance(teachers, Mapping) else {"teacher": teachers}
    made: Any = registry.build("loss", task) if isinstance(task, str) else task
    if made is not None and not hasattr(made, "map"):
        raise ConfigError(f"task '{task}' has no map(prediction, target, valid); use l1, log-l1 or berhu")
    return Own(
        student=None if student is None else _model("student", student, seed),
        teachers={name: _model("teacher", teacher, seed) for name, teacher in named.items()},
        task=made,
    )


class Lent:
    """Networks that are made once and handed to every check as they were made."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[nn.Module, dict[str, Tensor]]] = {}

    def get(self, key: Hashable, make: Callable[[], nn.Module]) -> nn.Module:
        """Return the network of a key in evaluation mode, all of it learning, without gradients, values as at first."""
        if key not in self._kept:
            model = make()
            self._kept[key] = (model, {name: value.clone() for name, value in model.state_dict().items()})
        model, first = self._kept[key]
        with torch.no_grad():
            for name, value in model.state_dict().items():
                if not torch.equal(value, first[name]):
                    value.copy_(first[name])
        for parameter in model.parameters():
            parameter.grad = None
        return model.eval().requires_grad_(True)


def changed(model: nn.Module, change: Callable[[Prediction], Prediction]) -> nn.Module:
    """Return a depth model whose prediction is changed afterwards; its submodules are the model's own."""
    other = copy.copy(model)  # shallow: parameters are shared, hooks are not
    other._forward_hooks, other._forward_pre_hooks = model._forward_hooks.copy(), model._forward_pre_hooks.copy()
    other.register_forward_hook(lambda module, inputs, out: change(out))
    if hasattr(other, "from_batch"):
        said: Any = other.from_batch
        other.__dict__["from_batch"] = lambda batch: change(said(batch))
    return other


def with_depth(change: Callable[[Tensor], Tensor]) -> Callable[[Prediction], Prediction]:
    """Return a change of the depth alone."""
    return lambda out: replace(out, depth=change(out.depth))


def _model(kind: str, given: Given, seed: int) -> nn.Module:
    if isinstance(given, str):
        with seeded(seed):
            made = registry.build(kind, given)
    else:
        made = given
    if not isinstance(made, nn.Module) or not isinstance(made, DepthModel):
        raise ConfigError(f"{type(made).__name__} is no depth model: a {kind} has depth_kind, depth_range and taps")
    return made
