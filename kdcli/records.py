"""What a logger is told of a run: how it began, and what each logged step came to."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as it begins, or goes on."""

    name: str
    """The run folder's name; of a study's run the path of its cell."""
    group: str | None = None
    """The study that it belongs to; None for a run of its own."""
    folder: Path
    """The run folder. What a logger writes of its own goes into a folder of its name there."""
    config: Mapping[str, Any]
    """The resolved recipe in plain values: keys of the run, ``stages`` and ``twin``."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The manifest: versions, machine, device, teachers with their licences, and so on."""
    steps: Mapping[str, int] = field(default_factory=dict)
    """Updates of each variant in all: where what is measured at the end belongs."""
    resumed: bool = False
    """Whether it goes on with what another process began."""
    kept: MutableMapping[str, str] = field(default_factory=dict)
    """A small store of the logger's own, kept in the run folder and given back when the run goes on: an id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A logged step: the numbers that stand in ``metrics.jsonl``."""

    variant: str
    """``student``, or ``twin`` for the run without the method."""
    stage: str
    step: int
    """Updates of the stage that are done."""
    total: int
    """Updates of the stage in all."""
    global_step: int
    """Updates of the variant that are done, over all of its stages."""
    loss: float
    terms: Mapping[str, float] = field(default_factory=dict)
    """The loss's terms by name, unweighted."""
    notes: Mapping[str, float] = field(default_factory=dict)
    """What plugins told beside their terms."""
    further: Mapping[str, float] = field(default_factory=dict)
    """``lr``, ``grad_norm``, ``images_per_second``, ``scale`` and ``scale_spread``, as far as there are any."""
    repeated: bool = False
    """Whether it was told before, by a process that was stopped behind the checkpoint from which this one goes on."""

    def numbers(self) -> dict[str, float]:
        """Return all numbers by the names that they have in ``metrics.jsonl``, without those that are not finite."""
        named = {
            "loss": self.loss,
            **{f"term/{name}": value for name, value in self.terms.items()},
            **{f"note/{name}": value for name, value in self.notes.items()},
            **self.further,
        }
        return {name: value for name, value in named.items() if math.isfinite(value)}
