"""Accuracy that was measured earlier, to stand beside the time: a run's own, or what ``kdcli eval --json`` wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdcli.documents import Each, read_json
from kdcli.errors import ConfigError

_ADVICE = "give what `kdcli eval ... --json` printed, or the eval/results.json of a run"
_ROW = {
    "model": str, "protocol": {"name": str, "hash": str}, "spec": str, "n": int, "size?": ([int, int], None),
    "metrics": Each((float, None)), "ci95": Each([(float, None), (float, None)]),
}
_SHAPES = (_ROW, [_ROW], {"fidelity": ([_ROW], _ROW)}, Each(_ROW))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """What an evaluation says of a model."""

    model: str
    delta1: float
    low: float | None
    high: float | None
    """95 % interval over images; None where there was one image."""
    abs_rel: float | None
    protocol: str
    hash: str
    data: str
    images: int
    size: tuple[int, int] | None
    """Height and width that images were brought to before the model; None = as they are, or several."""
    against: str | None
    """The teacher that it was held against: fidelity, not accuracy."""

    def is_of(self, name: str) -> bool:
        """Whether it is of a model of that name; of an ONNX file also by the spec of the teacher that it is."""
        return self.model == name or self.model.partition(",")[0] == f"teacher:onnx:{name}"

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "model": self.model, "delta1": self.delta1, "ci95": [self.low, self.high], "abs_rel": self.abs_rel,
            "protocol": {"name": self.protocol, "hash": self.hash}, "spec": self.data, "n": self.images,
            "size": None if self.size is None else list(self.size),
            **({} if self.against is None else {"against": self.against}),
        }


def read_evaluations(paths: Iterable[Path]) -> list[Accuracy]:
    """Return what files of ``kdcli eval --json`` say, in their order.

    Raises:
        DataError: one is missing, or something else.
    """
    return [one for path in paths for one in _read(path)]


def own_evaluation(model: str) -> Accuracy | None:
    """Return what a run says of its student; None for what is no run, or was not measured.

    Raises:
        DataError: its file is damaged.
    """
    path = Path(model.removeprefix("run:"), "eval", "results.json")
    if ":" in model.removeprefix("run:") or not path.is_file():
        return None
    return next((one for one in _read(path, "student")), None)


def accuracy_of(names: Sequence[str], told: Sequence[Accuracy], own: Accuracy | None) -> Accuracy | None:
    """Return the accuracy of a model: what was given for one of its names, or else its own run's.

    Raises:
        ConfigError: two evaluations are of it.
    """
    found = [one for one in told if any(map(one.is_of, names))]
    if len(found) > 1:
        sets = ", ".join(f"{one.protocol} on {one.data}" for one in found)
        raise ConfigError(f"--eval has {len(found)} evaluations of '{found[0].model}' ({sets}); give one")
    return found[0] if found else own


def differing(found: Sequence[Accuracy]) -> str | None:
    """Return that accuracies are no measure of one another, in a sentence; None where they are."""
    ways = {(one.hash, one.data, one.against) for one in found}
    if len(ways) < 2:
        return None
    told = dict.fromkeys(f"{one.protocol} ({one.hash}) on {one.data}" for one in found)
    return f"accuracies are of different protocols or data, and cannot be compared: {'; '.join(told)}"


def _read(path: Path, only: str | None = None) -> list[Accuracy]:
    document = read_json(path, _SHAPES, _ADVICE)
    if isinstance(document, dict) and "fidelity" in document:
        document = document["fidelity"]
    if isinstance(document, list):
        rows: list[Any] = document
    elif "metrics" in document:
        rows = [document]
    else:
        rows = [row for name, row in document.items() if only in (None, name)]
    return [_accuracy(row) for row in rows if row["metrics"].get("delta1") is not None]


def _accuracy(row: dict[str, Any]) -> Accuracy:
    metrics, size = row["metrics"], row.get("size")
    low, high = row["ci95"].get("delta1") or (None, None)
    return Accuracy(
        model=row["model"], delta1=float(metrics["delta1"]), low=low, high=high, abs_rel=metrics.get("abs_rel"),
        protocol=row["protocol"]["name"], hash=row["protocol"]["hash"], data=row["spec"], images=row["n"],
        size=None if size is None else (size[0], size[1]), against=row.get("against"),
    )
