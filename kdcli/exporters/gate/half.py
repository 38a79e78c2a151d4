"""What half precision has no number for: looked for in the network itself.

Most runtimes of the machine that writes a file compute in float32, also where its weights are halves; a phone's GPU
computes in halves. There a number beyond 65504 is infinite, which no run of the file here would show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from kdcli.errors import ConfigError
from kdcli.exporters.inputs import TakesBytes

LARGEST = 65504.0
"""Of half precision."""
_NORM = "batch_norm"


def require_half_range(model: nn.Module, image: Tensor) -> None:
    """Run a model in float32 and look at every number between its operators.

    A norm is folded into the convolution before it: what passes between the two is not looked at.

    Args:
        model: as it is exported.
        image: B x 3 x H x W in 0..1.

    Raises:
        ConfigError: one is finite and beyond what half precision holds.
    """
    bare = model.model if isinstance(model, TakesBytes) else model
    reference = next(iter(model.state_dict().values()), image).device
    watch = _Watch()
    with torch.no_grad(), watch:
        bare(image.to(reference))
    watch.settle()
    if watch.largest > LARGEST:
        raise ConfigError(f"the network's own numbers go up to {watch.largest:.3g} (in {watch.where}), and half "
                          f"precision ends at {LARGEST:.0f}; export it with --precision fp32")


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the largest finite number that an operator gave, and which operator that was."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest, self.where = 0.0, ""
        self._folded: tuple[Tensor, str] | None = None
        """What a convolution gave, while it is not known whether a norm follows."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given, name = func(*args, **(kwargs or {})), str(func).split(".")[1]
        if name.startswith("empty"):  # room that a norm makes for itself, with whatever lay there
            return given
        if _NORM in name and self._folded is not None and args and args[0] is self._folded[0]:
            self._folded = None
        self.settle()
        first = given[0] if isinstance(given, tuple | list) and given else given
        if isinstance(first, Tensor) and first.is_floating_point() and first.numel():
            self._folded = (first, name)
            if "convolution" not in name:
                self.settle()
        return given

    def settle(self) -> None:
        """Look at what is left to be looked at."""
        held, self._folded = self._folded, None
        if held is None:
            return
        finite = held[0].detach().float().nan_to_num(0.0, 0.0, 0.0)
        largest = float(finite.abs().max())
        if largest > self.largest:
            self.largest, self.where = largest, held[1]
