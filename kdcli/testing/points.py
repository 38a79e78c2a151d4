"""Where in a run a plugin is tried: its first batch, one in the middle, a stage of another name, the last batch."""

from __future__ import annotations

from dataclasses import dataclass

BATCHES, ACCUMULATE, EPOCH = 24, 2, 8
"""Of a stage: its batches, how many of them make an update, how many show every image once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The counters of one batch, as training counts."""

    batch_number: int
    stage: str = "main"

    @property
    def step(self) -> int:
        """Updates that are done: fewer than batches."""
        return self.batch_number // ACCUMULATE

    @property
    def epoch(self) -> int:
        """The round over the images."""
        return self.batch_number // EPOCH

    @property
    def progress(self) -> float:
        """Share of the stage done; training never comes to 1."""
        return self.batch_number / BATCHES

    def __str__(self) -> str:
        return f"step {self.step} (batch {self.batch_number}) of stage '{self.stage}'"


FIRST = Point(batch_number=0)
USUAL = Point(batch_number=7)
POINTS = (USUAL, FIRST, Point(batch_number=1, stage="finetune"), Point(batch_number=BATCHES - 1, stage="finetune"))
"""The usual one first: what is wrong everywhere is told of it."""
