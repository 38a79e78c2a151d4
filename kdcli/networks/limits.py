"""Build a network that a file describes, but none that is far larger than the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from kdcli.errors import WeightsError

_MAKERS = {
    getattr(torch, name) for name in ("empty", "zeros", "ones", "full", "rand", "randn", "arange", "linspace", "eye")
}
_SPARE = 1 << 26
"""Numbers that a network may make beyond those that its file holds: tables that it computes, features that it tries."""

_CALLS = 1000
"""Tensors that it may make beyond eight for each that the file holds."""


@contextmanager
def no_larger_than(bytes_: int, tensors: int, what: str) -> Iterator[None]:
    """Refuse, within the block, to make tensors far more or far larger than those of a file of so many bytes.

    Raises:
        WeightsError: as soon as one is asked for, before it is made.
    """
    with _Counting(_SPARE + 4 * bytes_, _CALLS + 8 * tensors, what):
        yield


class _Counting(TorchFunctionMode):
    def __init__(self, most: int, calls: int, what: str) -> None:
        super().__init__()
        self._left, self._calls, self._what = most, calls, what

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in _MAKERS:
            self._left -= _numbers(func, args, given)
            self._calls -= 1
            if self._left < 0 or self._calls < 0:
                raise WeightsError(f"{self._what} describes a network far larger than itself; get the file again")
        return func(*args, **given)


def _numbers(func: Any, args: Sequence[Any], given: Mapping[str, Any]) -> int:
    """Return at most how many numbers a call makes, where that can be told from its arguments."""
    first = args[0] if args else given.get("size", 0)
    if isinstance(first, Sequence):
        sizes = list(first)
    elif func in (torch.arange, torch.linspace):
        sizes = [max((abs(int(a)) for a in (*args, given.get("steps", 0)) if isinstance(a, int)), default=0)]
    else:
        sizes = [a for a in args if isinstance(a, int)] * (2 if func is torch.eye and len(args) == 1 else 1)
    return math.prod(int(size) for size in sizes) if all(isinstance(size, int) for size in sizes) else 0
