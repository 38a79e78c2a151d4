"""Models of a run that were measured together, with all that it takes to look at them once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from kdcli.evals.reference import Reference
from kdcli.evals.results import Result, compare


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Results by role (``student``, ``twin``, ``teacher``, ``teacher 2`` ...), with the models that they are of.

    against: the teacher that took the place of ground truth.
    """

    results: Mapping[str, Result]
    models: Mapping[str, nn.Module]
    source: Any
    against: Reference | None = None

    def documents(self) -> dict[str, Any]:
        """Return the results for JSON; the student's has its paired comparison with every other, the twin first."""
        made = {role: replace(result, distances=None).document() for role, result in self.results.items()}
        others = sorted(self.results.keys() - {"student"}, key=lambda role: (role != "twin", role))
        student = self.results["student"]
        made["student"]["paired"] = {role: compare(student, self.results[role]).document() for role in others}
        return made
