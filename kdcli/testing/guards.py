"""Watch what a plugin does behind its result: tensors on the wrong device, waiting for it, changed inputs, and more."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from kdcli.testing.report import Failure, expect

_FACTORIES = frozenset({
    torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.logspace, torch.ones, torch.rand,
    torch.randint, torch.randn, torch.randperm, torch.tensor, torch.zeros,
})

_WAITING = frozenset({
    "_local_scalar_dense", "_unique", "_unique2", "bincount", "equal", "is_nonzero", "masked_select", "nonzero",
    "repeat_interleave", "unique_consecutive", "unique_dim",
})
"""Operations whose result, or its size, the host must know."""
_READING = frozenset({Tensor.cpu, Tensor.numpy, Tensor.tolist})


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


class HostWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note every operation at which the host would wait for a device, in the backward pass as well.

    Works on tensors that lie on a CPU, where nothing has to wait: a number that is read, a choice by a mask, a size
    that depends on values. allow: names of functions that look at a number only where it lies on a CPU.
    """

    def __init__(self, allow: Collection[str] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []
        self.allow = allow

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        chooses = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            isinstance(part, Tensor) and part.dtype in (torch.bool, torch.uint8) for part in args[1]
        )
        if (name in _WAITING or chooses) and _frame().f_code.co_name not in self.allow:
            self.found.append(f"{name} at {_caller()}")
        return func(*args, **(kwargs or {}))


class _ReadWatch(TorchFunctionMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _READING:
            self.found.append(f"{func.__name__} at {_caller()}")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting(allow: Collection[str] = ()) -> Iterator[None]:
    """Fail when the host would have to wait for a device inside the block; ``allow`` as in ``HostWatch``."""
    watch = HostWatch(allow)
    with _ReadWatch(watch.found), watch:
        yield
    met = ", ".join(sorted(set(watch.found)))
    expect(not watch.found, f"makes the host wait for the device: {met}; work with masks of full size instead")


def _caller() -> str:
    frame = _frame()
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _frame() -> FrameType:
    """Return the frame that called torch, outside torch and this file."""
    frame = sys._getframe(2)
    while frame.f_back is not None and (f"{Path('torch')}{'/'}" in frame.f_code.co_filename.replace("\\", "/")
                                        or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return frame


@contextmanager
def on_device_of_batch() -> Iterator[None]:
    """Fail when a tensor is made without a device inside the block."""
    watch = DeviceWatch()
    with watch:
        yield
    made = ", ".join(sorted(set(watch.found)))
    expect(not watch.found, f"makes tensors without device=: {made}; give device=ctx.batch.image.device")


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
