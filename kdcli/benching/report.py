"""What a measurement found: one row for each thing that was measured, and what there is to say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdcli.benching.accuracy import Accuracy
from kdcli.benching.spread import Spread
from kdcli.errors import KdcliError


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was measured. Times are seconds for a whole batch."""

    name: str
    model: str
    """The MODEL that it is, or was made of."""
    runtime: str
    device: str
    precision: str
    """Empty where it is not known."""
    size: tuple[int, int]
    wall: Spread
    processor: Spread | None
    """Of all threads; None where the work is not the processor's."""
    wall_ratio: Spread | None
    """Of each round's time to the first row's in the same round."""
    processor_ratio: Spread | None
    memory: int | None
    """Bytes that opening and running took at their peak, beyond what the runtime itself takes."""
    bytes: int | None
    parameters: int | None
    multiply_adds: int | None
    """Of one image, at ``size``."""
    accuracy: Accuracy | None

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name, "model": self.model, "runtime": self.runtime, "device": self.device,
            "precision": self.precision or None, "size": list(self.size), "wall_ms": _ms(self.wall),
            "processor_ms": None if self.processor is None else _ms(self.processor),
            "wall_ratio": self.wall_ratio and self.wall_ratio.document(),
            "processor_ratio": self.processor_ratio and self.processor_ratio.document(),
            "peak_memory": self.memory, "bytes": self.bytes, "parameters": self.parameters,
            "multiply_adds": self.multiply_adds, "accuracy": self.accuracy and self.accuracy.document(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A file that was to be written and measured, and was not."""

    name: str
    reason: str
    error: KdcliError


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All rows, the first being what ratios are to, and how they were measured."""

    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]
    notes: tuple[str, ...]
    machine: str
    threads: int
    batch: int
    rounds: int
    """That were measured."""
    asked: int
    """Rounds that were asked for: more, where the measurement was interrupted."""

    @property
    def by_processor(self) -> bool:
        """Whether ratios of processor time say more: on one thread they are the latency without other programs."""
        return self.threads == 1 and all(row.processor is not None for row in self.rows)

    def ratio(self, row: Row) -> Spread | None:
        """Return a row's ratio to the first: of processor time on one thread, of latency otherwise."""
        return row.processor_ratio if self.by_processor else row.wall_ratio

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "machine": self.machine, "threads": self.threads, "batch": self.batch, "rounds": self.rounds,
            "interrupted": self.rounds < self.asked, "models": [row.document() for row in self.rows],
            "failed": [{"name": one.name, "reason": one.reason} for one in self.failed], "notes": list(self.notes),
        }


def _ms(spread: Spread) -> dict[str, Any]:
    return {"median": 1000 * spread.median, "quartiles": [1000 * spread.low, 1000 * spread.high]}
