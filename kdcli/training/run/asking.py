"""How many images teachers are shown: what a method asks of them, beside what it brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def images_shown(teachers: Iterable[nn.Module]) -> Iterator[Callable[[], int]]:
    """Count the images that these networks are shown from here on; gives a function that tells how many so far."""
    shown = 0

    def see(_: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal shown
        shown += len(given[0])

    handles = [teacher.register_forward_pre_hook(see) for teacher in {id(one): one for one in teachers}.values()]
    try:
        yield lambda: shown
    finally:
        for handle in handles:
            handle.remove()
