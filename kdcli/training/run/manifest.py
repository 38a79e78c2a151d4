"""What a run writes about itself in ``manifest.json``: its shape, and how it is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdcli.documents import Each, read_json

_NUMBER = (float, None)
_TEXT = (str, None)
_ORIGIN = {"spec": str, "name?": _TEXT, "sha256?": _TEXT, "licence?": _TEXT, "training_data?": _TEXT}
RESULT = {
    "metrics": Each(_NUMBER),
    "ci95": Each([_NUMBER, _NUMBER]),
    "n": int,
    "spec": str,
    "protocol": {"name": str, "hash": str},
    "size?": ([int, int], None),
    "skipped?": [Any],
    "paired?": Each({"against": str, "difference": Each(_NUMBER), "ci95": Each([_NUMBER, _NUMBER])}),
}
"""One model's part of ``eval/results.json``, and of ``eval`` in a manifest."""
RESULTS = Each(RESULT)
ENGINE = {
    "engine": str, "folded": bool, "layout": str, "difference": float, "why?": str, "ratios?": Each(float),
}
"""What runs a teacher in a stage, how far its depth is from the teacher's own, and what was measured."""
STUDENT_FORM = {
    "memory_format": str, "ratio?": float, "compile": str, "student": bool, "losses": [str],
    "difference?": (float, None), "why?": [str],
}
"""How a stage trained its student: order in memory, what was compiled, how far its depth then is from its own."""
MANIFEST = {
    "state": str,
    "recipe": str,
    "student?": str,
    "seed?": int,
    "now?": {"variant": str, "stage": str},
    "plan?": [{"variant": str, "stage": str, "steps": int, "images": int}],
    "error?": str,
    "threads?": int,
    "seconds?": float,
    "versions?": Each(_TEXT),
    "argv?": [str],
    "teachers?": [_ORIGIN],
    "choice?": {"recipe": str, "reasons": [str]},
    "begun_from?": [_ORIGIN],
    "encoders?": Each(str),
    "teacher_cache?": Each(dict),
    "teacher_images?": Each(int),
    "teacher_engine?": Each(Each(ENGINE)),
    "student_form?": Each(STUDENT_FORM),
    "hard_images?": Each({
        "images": int, "shown": [int, int, int], "hardest": [{"id": str, "distance": float, "shown": int}],
    }),
    "scale?": Each({"kept": bool, "ratio?": (float, None), "spread?": (float, None), "note?": str}),
    "eval?": RESULTS,
    "fidelity?": Each(RESULTS),
    "holdout?": {"images": int, "held_out": int, "training": int, "rule": str, "sha256": Each(str)},
}


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest.

    Raises:
        DataError: missing or damaged.
    """
    document: dict[str, Any] = read_json(path, MANIFEST, "the run is damaged: start another, or put the file back")
    return document
