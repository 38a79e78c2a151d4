"""``metrics.jsonl``: what each logged step came to, a line a step."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from kdcli.documents import parse_json
from kdcli.errors import DataError
from kdcli.files import write_text
from kdcli.training.loop.train import StepLog

_STEP = {
    "variant": str, "stage": str, "step": int, "loss": float, "images_per_second?": (float, None),
    "scale?": (float, None), "scale_spread?": (float, None),
}
_LONGEST = 2**20
"""Bytes of a line; one of a loss with a thousand terms has 2**15."""


def append(path: Path, log: StepLog) -> None:
    """Add a step."""
    row = {
        "variant": log.variant,
        "stage": log.stage,
        "step": log.step,
        "loss": log.loss,
        **{f"term/{name}": value for name, value in log.terms.items()},
        **{f"note/{name}": value for name, value in log.notes.items()},
        "lr": log.lr,
        "grad_norm": log.grad_norm,
        "images_per_second": float(f"{log.images_per_second:.4g}"),
    }
    if log.scale is not None:
        row |= {"scale": log.scale, "scale_spread": log.scale_spread}
    # JSON has no word for a gradient without end; null is what all readers understand.
    told = {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(told) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the steps; a last line cut short by a crash is left out.

    Raises:
        DataError: a line is no step.
    """
    rows: list[dict[str, Any]] = []
    if not path.exists():
        return rows
    try:
        with path.open("rb") as stream:
            while line := stream.readline(_LONGEST):
                try:
                    rows.append(_row(line, f"line {len(rows) + 1} of '{path}'"))
                except DataError:
                    if line.endswith(b"\n") or stream.read(1):
                        raise
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}); move it away and go on") from None
    return rows


def forget_after(path: Path, variant: str, stage: str, step: int) -> int:
    """Drop what lies past a checkpoint, so that a resumed run logs each step once; return the last step there was."""
    rows = read(path)
    last = max((row["step"] for row in rows if row["variant"] == variant and row["stage"] == stage), default=0)
    kept = [row for row in rows if not (row["variant"] == variant and row["stage"] == stage and row["step"] > step)]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
    return int(last)


def _row(line: bytes, where: str) -> dict[str, Any]:
    advice = "delete that line and go on"
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{where} is not UTF-8 text; {advice}") from None
    row: dict[str, Any] = parse_json(text, _STEP, where, advice)
    return row
