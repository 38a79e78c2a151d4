"""The verdict on a run: whether its student can be told apart from its twin, how good it is, what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kdcli.evals.results import Result, compare
from kdcli.report.verdict import alone, costs, share

METRIC = "delta1"
"""What student and twin are compared by, as on the terminal."""


def run_verdict(results: Mapping[str, Result], labels: Mapping[str, str]) -> list[str]:
    """Return sentences, the first of which is the answer. results: by role, with the student's. labels: by role."""
    student = results["student"]
    if not student.n:
        return ["No image could be measured of the student."]
    said = [_beside_twin(student, results["twin"], labels.get("twin", "twin"))] if "twin" in results else []
    said.append(f"The {alone(student)}")
    for role, teacher in results.items():
        if role.startswith("teacher") and math.isfinite(teacher.metrics["abs_rel"]):
            said.append(f"The {labels.get(role, role)} is off by {share(teacher.metrics['abs_rel'])}.")
    order = sorted((role for role in results if role != "twin"), key=lambda role: role != "student")
    return [*said, *(f"The {one}" for one in costs([results[role] for role in order]))]


def _beside_twin(student: Result, twin: Result, label: str) -> str:
    found = compare(student, twin)
    difference, (low, high) = found.difference[METRIC], found.ci95[METRIC]
    what = METRIC if student.against is None else f"fidelity {METRIC}"
    if not found.n:
        return f"Student and {label}: no image was measured of both."
    values = f"{what} {student.metrics[METRIC]:.3f} against {twin.metrics[METRIC]:.3f}, paired {difference:+.3f}"
    if not math.isfinite(low):
        return f"Student and {label} were measured on one image, which gives no interval: {values}."
    interval = f"95 % interval {low:+.3f} to {high:+.3f} on {found.n} images"
    if low <= 0 <= high:
        return f"The student is not told apart from its {label}: {values} ({interval})."
    better = "better" if low > 0 else "worse"
    return f"The student is told apart from its {label}, and {better}: {values} ({interval})."
