"""How many images teachers are shown: what a method asks of them, beside what it brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from kdcli.config import StageConfig, teachers_of
from kdcli.config.references import STAGE
from kdcli.training.run.workshop import Workshop


def from_outside(shop: Workshop, stage: StageConfig) -> list[nn.Module]:
    """Return a stage's teachers but for results of earlier stages."""
    specs = teachers_of(stage)
    return [model for name, model in shop.teachers(stage).items() if not specs[name].startswith(STAGE)]


@contextmanager
def images_shown(teachers: Iterable[nn.Module], before: int = 0) -> Iterator[Callable[[], int]]:
    """Count the images that these networks are shown from here on; gives a function that tells how many so far."""
    shown = before

    def see(_: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal shown
        shown += len(given[0]) if given else 0

    handles = [teacher.register_forward_pre_hook(see) for teacher in {id(one): one for one in teachers}.values()]
    try:
        yield lambda: shown
    finally:
        for handle in handles:
            handle.remove()
