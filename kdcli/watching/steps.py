"""``metrics.jsonl`` while it is being written: what is new since the last look, whole lines only."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_AT_ONCE = 2**24
"""Bytes that one look reads; what is beyond comes with the next."""


@dataclass(kw_only=True)
class StepsFile:
    """The steps of a run that were logged so far. A file that was cut or replaced, as by a run that goes on, is read
    anew."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    _offset: int = 0
    _identity: tuple[int, int] | None = None

    def look(self) -> int:
        """Read what is new and return how many steps that are.

        Lines that are no steps are passed over: a log that is damaged hides no run. So is a file that cannot be read
        for the moment, as on a network.
        """
        count = len(self.rows)
        while True:
            try:
                with self.path.open("rb") as stream:
                    facts = self.path.stat()
                    identity = (facts.st_dev, facts.st_ino)
                    if identity != self._identity or facts.st_size < self._offset:
                        self._identity, self._offset, count = identity, 0, 0
                        self.rows.clear()
                    stream.seek(self._offset)
                    content = stream.read(MOST_AT_ONCE)
            except OSError:
                break
            whole = content.rfind(b"\n") + 1  # the rest is still being written
            self._offset += whole
            self.rows += [row for line in content[:whole].splitlines() if (row := _step(line)) is not None]
            if not whole:
                break
        return max(len(self.rows) - count, 0)


def _step(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    words = all(isinstance(row.get(key), str) for key in ("variant", "stage"))
    sound = words and type(row.get("step")) is int and _finite(row.get("loss"))
    return row if sound else None


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
