"""What the parts of a training step take, and what it takes beside other loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdcli.benching.clock import Times
from kdcli.benching.spread import Spread

STEP = "step"
"""The whole of it but for waiting: what the other loops, whose images lie in memory, are held against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """Times are seconds for a batch, round by round."""

    teacher: str
    student: str
    size: tuple[int, int]
    batch: int
    device: str
    threads: int
    machine: str
    parts: Mapping[str, Times]
    """Of a step, in its order; their sum is the whole of it."""
    data: tuple[str, Times]
    """``decode`` or ``render``, and what a batch takes so in this process alone; in a step it may be done beside."""
    loops: Mapping[str, Times]
    """The step first, then what it is measured beside."""
    memory_mib: float
    """The most that the process took; on CUDA its tensors."""
    notes: Sequence[str] = ()

    @property
    def by_processor(self) -> bool:
        """Whether ratios are of processor time: on one thread it is the time without other programs."""
        return self.threads == 1 and all(times.processor for times in self.loops.values())

    def ratio(self, name: str) -> Spread | None:
        """Return how long the step took, as a share of another loop's time of the same round."""
        step, other = ([*self.loops[one].processor] if self.by_processor else [*self.loops[one].wall]
                       for one in (STEP, name))
        return Spread.of_ratios(step, other)

    @property
    def waiting(self) -> float:
        """Share of the time of steps, waiting included, that goes by until the batch is there."""
        waited = sum(self.parts["waiting"].wall)
        return waited / (waited + sum(self.loops[STEP].wall))

    def images_per_second(self, times: Times) -> float:
        """Return how many images that is a second."""
        return self.batch / Spread.of(times.wall).median

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        others = [name for name in self.loops if name != STEP]
        return {
            "ratios": {name: None if (found := self.ratio(name)) is None else found.document() for name in others},
            "ratios_of": "processor time" if self.by_processor else "wall time",
            "waiting": self.waiting,
            "loops": {name: self._told(times) for name, times in self.loops.items()},
            "parts": {name: self._told(times) for name, times in self.parts.items()},
            "data": {"how": self.data[0], **self._told(self.data[1])},
            "peak_memory_mib": self.memory_mib, "teacher": self.teacher, "student": self.student,
            "size": list(self.size), "batch_size": self.batch, "device": self.device, "threads": self.threads,
            "machine": self.machine, "rounds": len(self.loops[STEP].wall), "notes": list(self.notes),
        }

    def _told(self, times: Times) -> dict[str, Any]:
        scaled = {"wall_ms": times.wall, **({"processor_ms": times.processor} if times.processor else {})}
        rate = {"images_per_second": self.images_per_second(times)} if Spread.of(times.wall).median > 0 else {}
        return {key: Spread.of([1000 * one for one in kept]).document() for key, kept in scaled.items()} | rate


def title(report: StepReport) -> str:
    """Return what was measured, in a line."""
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    where = threads if report.device == "cpu" else report.device
    (height, width), rounds = report.size, len(report.loops[STEP].wall)
    return (f"{report.teacher} -> {report.student}, {height}x{width}, {report.batch} images, {where}, "
            f"{rounds} round{'s in turn' * (rounds > 1)}, {report.machine}")


def loops_table(report: StepReport) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of the loops: ratios first."""
    kind = "processor time" if report.by_processor else "time"
    rows = [
        [name, "1" if name == STEP else _ratio(report.ratio(name)), _ms(times),
         f"{report.images_per_second(times):.3g}"]
        for name, times in report.loops.items()
    ]
    return ["loop", f"step / loop, {kind}", "ms a batch", "images/s"], rows


def parts_table(report: StepReport) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of the parts."""
    whole = sum(Spread.of(times.wall).median for times in report.parts.values())
    rows = [
        [name, f"{Spread.of(times.wall).median / whole:.1%}", _ms(times)] for name, times in report.parts.items()
    ]
    how, times = report.data
    return ["part of a step", "share", "ms a batch"], [*rows, [f"({how}, alone)", "", _ms(times)]]


def remarks(report: StepReport) -> list[str]:
    """Return what a reader has to know of the numbers."""
    return [
        "medians [quartiles] of rounds; the step is without waiting, and with what the recipe adds to the networks",
        f"waiting for images takes {report.waiting:.1%} of the time; at most {report.memory_mib:.0f} MiB were taken",
        *report.notes,
    ]


def _ms(times: Times) -> str:
    spread = Spread.of([1000 * one for one in times.wall])
    return f"{spread.median:.1f} [{spread.low:.1f}, {spread.high:.1f}]"


def _ratio(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.3f} [{spread.low:.3f}, {spread.high:.3f}]"
