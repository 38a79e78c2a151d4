"""Watch what a plugin does behind its result: tensors on the wrong device, changed inputs, global random numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kdcli.testing.report import Failure, expect

_FACTORIES = frozenset({
    torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.logspace, torch.ones, torch.rand,
    torch.randint, torch.randn, torch.randperm, torch.tensor, torch.zeros,
})


class DeviceWatch(TorchFunctionMode):
    """Note every tensor with elements that is made without a device: on a GPU it would lie on the host.

    A single number is let through: it travels with the kernel's arguments.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _FACTORIES and (kwargs or {}).get("device") is None and result.dim() > 0:
            self.found.append(f"torch.{func.__name__} at {_caller()}")
        return result


def _caller() -> str:
    frame = sys._getframe(2)
    while frame.f_back is not None and (f"{Path('torch')}{'/'}" in frame.f_code.co_filename.replace("\\", "/")
                                        or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


@contextmanager
def on_device_of_batch() -> Iterator[None]:
    """Fail when a tensor is made without a device inside the block."""
    watch = DeviceWatch()
    with watch:
        yield
    made = ", ".join(sorted(set(watch.found)))
    expect(not watch.found, f"makes tensors without device=: {made}; give device=ctx.batch.image.device")


@contextmanager
def global_random_state_kept() -> Iterator[None]:
    """Fail when the block draws from torch's or Python's global random numbers."""
    import random

    state, python = torch.get_rng_state(), random.getstate()
    yield
    kept = torch.equal(state, torch.get_rng_state()) and python == random.getstate()
    torch.set_rng_state(state)
    random.setstate(python)
    expect(kept, "draws from global random numbers; pass generator=ctx.generator")


@contextmanager
def unchanged(*tensors: Tensor | None) -> Iterator[None]:
    """Fail when the block writes into tensors that it was given."""
    before = [None if tensor is None else tensor.detach().clone() for tensor in tensors]
    yield
    for tensor, old in zip(tensors, before, strict=True):
        if tensor is not None and old is not None and not torch.equal(tensor, old):
            raise Failure("writes into the tensors that it was given; make new ones")


@contextmanager
def model_unchanged(model: nn.Module, who: str) -> Iterator[None]:
    """Fail when the block changes parameters or buffers of a model, or leaves a gradient in it."""
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.grad = None
    yield
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    expect(not changed, f"{who}: {', '.join(changed[:3])} changed")
    touched = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    expect(not touched, f"{who}: a gradient reached {', '.join(touched[:3])}")


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the bit, not-a-number included."""
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
