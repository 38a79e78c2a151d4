"""Inner updates: plugins that train parameters of their own with an optimiser of their own, beside the main update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from kdcli.errors import PluginError
from kdcli.plugins.blame import blame
from kdcli.protocols import StepContext


class InnerUpdates:
    """The optimisers of those parts that have ``inner_parameters``, by the part's name."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        """Take losses and mixers by name; begin() gives them their optimisers."""
        self._parts = {name: part for name, part in parts.items() if hasattr(part, "inner_parameters")}
        self._optimizers: dict[str, torch.optim.Optimizer] = {}

    def begin(self) -> None:
        """Make the optimisers once all inner parameters exist: the part's own, or Adam with its ``inner_lr``.

        Raises:
            PluginError: the part has no inner parameters, or its ``inner_optimizer`` returns no optimiser.
        """
        for name, part in self._parts.items():
            with blame(part, "inner_parameters"):
                parameters = list(part.inner_parameters())
            if not parameters:
                raise PluginError(f"'{name}' has inner_parameters() but none of them; report it to its author")
            if hasattr(part, "inner_optimizer"):
                with blame(part, "inner_optimizer"):
                    made = part.inner_optimizer(parameters)
                if not isinstance(made, torch.optim.Optimizer):
                    raise PluginError(
                        f"inner_optimizer of '{name}' returns {type(made).__name__}, not a torch.optim.Optimizer; "
                        "report it to its author"
                    )
                self._optimizers[name] = made
            else:
                self._optimizers[name] = torch.optim.Adam(parameters, lr=getattr(part, "inner_lr", 1e-3))

    def step(self, name: str, context: StepContext) -> None:
        """Update a part if its time has come; a part without inner parameters, or not begun, is left alone.

        With ``inner_every`` = N that is every N-th batch, first when N batches have gone before. Gradients are taken
        towards the inner parameters alone: nothing lands in the student, a teacher, or the main backward pass.
        """
        optimizer = self._optimizers.get(name)
        if optimizer is None:
            return
        part = self._parts[name]
        every = getattr(part, "inner_every", 1)
        if context.batch_number % every or context.batch_number < every - 1:
            return
        own = _of(optimizer)
        for _ in range(getattr(part, "inner_steps", 1)):
            with blame(part, "inner_loss"):
                found = torch.autograd.grad(part.inner_loss(context), own, allow_unused=True)
            for parameter, gradient in zip(own, found, strict=True):
                parameter.grad = gradient
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all inner parameters; the main optimiser leaves them alone."""
        for optimizer in self._optimizers.values():
            yield from _of(optimizer)

    def state(self) -> dict[str, Any]:
        """Return the optimisers' state, for the checkpoint."""
        return {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the optimisers."""
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state[name])


def _of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
