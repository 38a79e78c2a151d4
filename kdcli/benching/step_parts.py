"""Where the time of a training step goes: each moment is counted to one part, the innermost that is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from kdcli.benching.clock import Times
from kdcli.protocols import Mixer
from kdcli.training.step.task import DistillTask

PARTS = (
    "waiting", "augment", "mix", "transform", "teacher", "student forward", "losses", "backward", "optimiser",
)
"""In the order of a step. ``waiting``: for the batch; ``losses``: and whatever else a step does."""


class PartClock:
    """Seconds of parts by name, round by round.

    On CUDA the device is waited for wherever a part begins or ends, so that what is done beside one another in a step
    is counted one after the other.
    """

    def __init__(self, device: torch.device) -> None:
        self.times: dict[str, Times] = {}
        self._device, self._open = device, list[str]()
        self._spent: dict[str, list[float]] = {}
        self._last = (0.0, 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is done inside to a part, but for the parts inside of it."""
        self._mark()
        self._open.append(name)
        try:
            yield
        finally:
            self._mark()
            self._open.pop()

    def round(self, *, counts: bool) -> None:
        """End a round. counts: False for those that warm up."""
        for name, (wall, processor) in self._spent.items() if counts else ():
            times = self.times.setdefault(name, Times())
            times.wall.append(wall)
            if self._device.type == "cpu":
                times.processor.append(processor)
        self._spent.clear()

    @property
    def running(self) -> bool:
        """Whether a part is under way."""
        return bool(self._open)

    def forget(self, name: str) -> None:
        """Leave out what was counted to a part in this round."""
        self._spent.pop(name, None)

    def _mark(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter(), time.process_time()
        if self._open:
            spent = self._spent.setdefault(self._open[-1], [0.0, 0.0])
            for i in range(2):
                spent[i] += now[i] - self._last[i]
        self._last = now


@contextmanager
def watched(
    task: DistillTask, teachers: Mapping[str, nn.Module], clock: PartClock, *, student: nn.Module
) -> Iterator[None]:
    """Count mixers, teachers and the student of a task to parts of their own inside the block.

    student: what runs in its steps.
    """
    own, before = len(task.stage.mixers), task.mixers
    with ExitStack() as stack:
        for model, name in [*((one, "teacher") for one in teachers.values()), (student, "student forward")]:
            stack.enter_context(_hooked(model, name, clock))
        task.mixers = [
            _Counted(mixer, "mix" if number < own else "transform", clock) for number, mixer in enumerate(before)
        ]
        try:
            yield
        finally:
            task.mixers = before


@contextmanager
def _hooked(model: nn.Module, name: str, clock: PartClock) -> Iterator[None]:
    """Count the forward passes of a network; a teacher that answers from the data has none."""
    under_way: list[Any] = []

    def before(*_: object) -> None:
        # Outside of a step it is another loop that runs the same network.
        under_way.append(clock.part(name) if clock.running else nullcontext())
        under_way[-1].__enter__()

    def after(*_: object) -> None:
        under_way.pop().__exit__(None, None, None)

    # A pass that fails ends the part as well.
    handles = [model.register_forward_pre_hook(before), model.register_forward_hook(after, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Counted:
    """A mixer whose work is counted; all else is its own."""

    def __init__(self, mixer: Mixer, name: str, clock: PartClock) -> None:
        self._mixer, self._name, self._clock = mixer, name, clock

    def mix(self, *given: Any) -> Any:
        """Mix, counted."""
        with self._clock.part(self._name):
            return self._mixer.mix(*given)

    def terms(self, *given: Any) -> Any:
        """Add a learned mixer's terms, counted."""
        terms: Callable[..., Any] = self._mixer.terms  # type: ignore[attr-defined]
        with self._clock.part(self._name):
            return terms(*given)

    def __getattribute__(self, name: str) -> Any:
        if name == "terms" and not hasattr(object.__getattribute__(self, "_mixer"), "terms"):
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mixer, name)
