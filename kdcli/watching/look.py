"""One run, looked at again and again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kdcli.documents import read_json
from kdcli.errors import DataError
from kdcli.watching.drawing import BARS, duration, sparkline
from kdcli.watching.estimate import seconds_left
from kdcli.watching.state import RunState, state_of
from kdcli.watching.steps import StepsFile

_PLACE = {"variant": str, "stage": str}
_SHAPE = {
    "state": str, "now?": _PLACE, "plan?": [{**_PLACE, "steps": int, "images": int}], "error?": str, "seconds?": float,
}
_AGAIN = "the run is damaged: start another, or put the file back"
EVALUATION = "evaluation"
"""What a run calls the time after its stages."""
SPARK = 200
"""Logged steps that the line of bars is of."""


class Look(Protocol):
    """What is watched: a run, or a study of runs."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""

    def again(self) -> None:
        """Look again."""

    def document(self) -> dict[str, Any]:
        """Return what was seen, for programs."""

    def lines(self, letters: str) -> list[str]:
        """Return what was seen, for people; letters: of bars."""


@dataclass(kw_only=True)
class RunLook:
    """A run folder as it is seen from another process.

    Raises:
        DataError: there is no run, or its manifest is damaged.
    """

    folder: Path

    def __post_init__(self) -> None:
        """Look for the first time."""
        if not (self.folder / "manifest.json").is_file():
            raise DataError(f"there is no run at '{self.folder}' (no manifest.json); see: kdcli runs list")
        self._steps = StepsFile(path=self.folder / "metrics.jsonl")
        self.again()

    def again(self) -> None:
        """Look again. A manifest that cannot be read for a moment is that of before."""
        try:
            self._manifest: dict[str, Any] = read_json(self.folder / "manifest.json", _SHAPE, _AGAIN)
        except DataError:
            if not hasattr(self, "_manifest") or (self.folder / "manifest.json").is_file():
                raise
            if not self.folder.exists():  # a run that came to nothing leaves no folder behind
                raise DataError(f"the run at '{self.folder}' is gone: it ended before it had done anything") from None
        self.state: RunState = state_of(self.folder, self._manifest)
        self._steps.look()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state.ended

    def document(self) -> dict[str, Any]:
        """Return state, place, loss and terms, speed and what is left, as JSON."""
        rows, plan = self._steps.rows, self._manifest.get("plan", [])
        last = rows[-1] if rows else {}
        place = self._place()
        told = last if place is not None and place == (last.get("variant"), last.get("stage")) else {}
        total = next((e["steps"] for e in plan if (e["variant"], e["stage"]) == place), None)
        age = self._age()
        running = self.state.state == "running"
        training = place is None or place[1] != EVALUATION
        left = seconds_left(plan, rows, place, age or 0.0) if running and training else None
        return {
            "run": str(self.folder),
            "state": self.state.state,
            "message": self.state.message or None,
            "resume": self.state.resume,
            "variant": place and place[0],
            "stage": place and place[1],
            "step": told.get("step"),
            "steps": total,
            "loss": told.get("loss"),
            "terms": {k.removeprefix("term/"): v for k, v in told.items() if k.startswith("term/")},
            "images_per_second": told.get("images_per_second"),
            "seconds_left": None if left is None else round(left, 1),
            "seconds_since_step": None if age is None else round(age, 1),
            "losses": self.losses() if told else [],
        }

    def _place(self) -> tuple[str, str] | None:
        """Return variant and stage that are, or were last, under way; None before the first and when all is done."""
        if self.state.state == "finished":
            return None
        if now := self._manifest.get("now"):
            return now["variant"], now["stage"]
        rows = self._steps.rows
        return (rows[-1]["variant"], rows[-1]["stage"]) if rows else None

    def losses(self, most: int = SPARK) -> list[float]:
        """Return the last losses of the stage that was logged last."""
        rows = self._steps.rows
        if not rows:
            return []
        place = (rows[-1]["variant"], rows[-1]["stage"])
        return [float(row["loss"]) for row in rows[-most:] if (row["variant"], row["stage"]) == place]

    def lines(self, letters: str = BARS) -> list[str]:
        """Return the same for people."""
        seen = self.document()
        told = [f"{seen['run']}: {headline(seen)}"]
        if seen["step"] is not None:
            terms = "  ".join(f"{name} {value:.4g}" for name, value in seen["terms"].items() if value is not None)
            told.append(f"  loss {seen['loss']:.4g}  {sparkline(seen['losses'], letters=letters)}  {terms}".rstrip())
            told.append(f"  {pace(seen)}")
        return told + ending(seen)

    def _age(self) -> float | None:
        try:
            return max(time.time() - (self.folder / "metrics.jsonl").stat().st_mtime, 0.0)
        except OSError:
            return None


def headline(seen: dict[str, Any]) -> str:
    """Return state and place in a line."""
    place = " ".join(str(seen[key]) for key in ("variant", "stage") if seen[key])
    if seen["state"] == "finished" or not place:
        return str(seen["state"])
    if seen["step"] is None:
        return f"{seen['state']}, {place}"
    steps = "" if seen["steps"] is None else f" of {seen['steps']} ({100 * seen['step'] / max(seen['steps'], 1):.0f} %)"
    return f"{seen['state']}, {place}: step {seen['step']}{steps}"


def pace(seen: dict[str, Any]) -> str:
    """Return speed and time left in words."""
    parts = [f"{seen['images_per_second']:.3g} images/s"] if seen["images_per_second"] else []
    if seen["state"] == "running":
        left = seen["seconds_left"]
        parts.append("time left: not known yet" if left is None else f"about {duration(left)} of training left")
        if seen["seconds_since_step"] is not None:
            parts.append(f"last step {duration(seen['seconds_since_step'])} ago")
    return ", ".join(parts)


def ending(seen: dict[str, Any]) -> list[str]:
    """Return why nothing more comes, and what goes on."""
    told = [f"  {seen['message']}"] if seen["message"] else []
    return told + ([f"  go on with: {seen['resume']}"] if seen["resume"] else [])
