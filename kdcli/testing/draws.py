"""See what a plugin draws: how much, and from which random numbers."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kdcli.testing.report import expect


class DrawWatch(TorchFunctionMode):
    """Note every draw from a generator that is given by name.

    own: the generator that may be drawn from. ``made``: what was drawn from it, by function and sizes. ``foreign``:
    functions that drew from another one.
    """

    def __init__(self, own: torch.Generator) -> None:
        super().__init__()
        self.own = own
        self.made: list[str] = []
        self.foreign: set[str] = set()

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = (kwargs or {}).get("generator")
        if isinstance(given, torch.Generator):
            name = getattr(func, "__name__", str(func))
            if given is self.own:
                sizes = [tuple(part.shape) if isinstance(part, Tensor) else part for part in args]
                self.made.append(f"{name}{tuple(sizes)}")
            else:
                self.foreign.add(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def global_random_state_kept() -> Iterator[None]:
    """Fail when the block draws from the global random numbers of torch, Python or NumPy."""
    numpy = sys.modules.get("numpy")
    state, python = torch.get_rng_state(), random.getstate()
    other = None if numpy is None else numpy.random.get_state()
    yield
    kept = torch.equal(state, torch.get_rng_state()) and python == random.getstate()
    torch.set_rng_state(state)
    random.setstate(python)
    if numpy is not None and other is not None:
        now = numpy.random.get_state()
        kept = kept and other[2:] == now[2:] and bool((other[1] == now[1]).all())
        numpy.random.set_state(other)
    expect(kept, "draws from global random numbers; pass generator=ctx.generator")


@contextmanager
def cpu_seeded(seed: int) -> Iterator[None]:
    """Run a block under a global seed of the CPU's random numbers and restore them; other devices' stay as they are."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
