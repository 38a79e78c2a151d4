"""Whether a student keeps to its teacher's scale: judged from logged steps, said in one line where it does not."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdcli.training.loop.train import StepLog

NARROW = 1.5
"""Factor, either way, within which a student's scale is its teacher's."""
LAST = 0.1
"""Share of the steps at the end that is judged."""
PARTS = 4
"""Of the later half of what was logged, compared with one another."""
FEWEST = 3
"""Logged steps that are judged at the end at least, and that a part has."""
EARLY = 0.25
"""Share of the steps before which nothing is said on the way: a student begins anywhere."""
LOOKS = 200
"""Times over a stage, at most, that it is looked whether there is something to say on the way: each takes medians over
all that was logged, and a run that goes on looks at all of it again."""

ADVICE = "lower --lr, or take a loss that holds the scale, such as log-l1"


@dataclass(kw_only=True)
class ScaleWatch:
    """Follows one stage. held: whether a loss of the stage asks the student for its teacher's very scale."""

    held: bool
    seen: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Ratio and spread by step."""
    _said: bool = False
    _look: int = -1

    def add(self, log: StepLog) -> str | None:
        """Take a logged step; the first time that the student is on its way off, say so."""
        if log.scale is None or log.scale_spread is None or not math.isfinite(log.scale + log.scale_spread):
            return None
        if not self._takes(log.step, log.total, log.scale, log.scale_spread):
            return None
        return f"the student's scale is moving away from its teacher's: {self._course()} times; {ADVICE}"

    def restore(self, rows: Iterable[Mapping[str, Any]], total: int) -> None:
        """Take the logged steps of a run that goes on, in their order; what was said of them is not said again.

        total: steps of the stage.
        """
        for row in rows:
            if row.get("scale") is not None and row.get("scale_spread") is not None:
                self._takes(int(row["step"]), total, float(row["scale"]), float(row["scale_spread"]))

    def growing(self) -> bool:
        """Whether the distance grew from part to part of the later half, and by more than the factor in all."""
        parts = self._parts()
        if not parts:
            return False
        away = [abs(_log(ratio)) for ratio in parts]
        rising = all(one < two for one, two in itertools.pairwise(away))
        return rising and away[-1] - away[0] > math.log(NARROW) and away[-1] > math.log(NARROW)

    def verdict(self) -> dict[str, Any] | None:
        """Return what the manifest says of a finished stage; None where nothing was measured.

        ``kept``: ``true`` or ``false``. ratio, spread: medians over the last tenth of the steps. note: one line where
        the scale was not kept. Where no loss holds it, another scale is no fault as long as it does not grow.
        """
        if not self.seen:
            return None
        end = max(self.seen)
        late = [step for step in self.seen if step > (1 - LAST) * end]
        late = late if len(late) >= FEWEST else sorted(self.seen)[-FEWEST:]
        ratio, spread = (statistics.median(self.seen[step][part] for step in late) for part in (0, 1))
        note = ""
        if self.growing():
            note = f"the student's scale moved away from its teacher's: {self._course()} times; {ADVICE}"
        elif self.held and not abs(_log(ratio)) <= math.log(NARROW):
            note = (
                f"the student's depth ended at {ratio:.3g} times its teacher's, outside {1 / NARROW:.2f}..{NARROW:g}: "
                f"it learned too little or runs away; more steps, or {ADVICE}"
            )
        told = {"kept": not note, "ratio": ratio, "spread": spread}
        return told | ({"note": note} if note else {})

    def _takes(self, step: int, total: int, ratio: float, spread: float) -> bool:
        """Take a step, and return whether this is the one at which to speak."""
        self.seen[step] = (ratio, spread)
        look = step * LOOKS // total
        if self._said or step < EARLY * total or look == self._look:
            return False
        self._look, self._said = look, self.growing()
        return self._said

    def _parts(self) -> list[float]:
        """Return the median ratio of each part of the later half; none while there is too little."""
        steps = sorted(self.seen)
        late = steps[len(steps) // 2 :]
        size = len(late) // PARTS
        if size < FEWEST:
            return []
        late = late[len(late) - PARTS * size :]
        return [
            statistics.median(self.seen[step][0] for step in late[part * size : (part + 1) * size])
            for part in range(PARTS)
        ]

    def _course(self) -> str:
        return ", ".join(f"{ratio:.3g}" for ratio in self._parts())


def _log(ratio: float) -> float:
    return math.log(ratio) if ratio > 0 else -math.inf
