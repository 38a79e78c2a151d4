"""Evaluation: named protocols, nine metrics, alignment by depth kind, intervals.

Nothing heavy is imported before a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "Example": "kdcli.evals.examples",
    "Protocol": "kdcli.evals.protocol",
    "Result": "kdcli.evals.results",
    "check": "kdcli.evals.runner",
    "compare": "kdcli.evals.results",
    "evaluate": "kdcli.evals.runner",
    "examine": "kdcli.evals.examples",
}
__all__ = ["Example", "Protocol", "Result", "check", "compare", "evaluate", "examine"]

if TYPE_CHECKING:
    from kdcli.evals.examples import Example as Example
    from kdcli.evals.examples import examine as examine
    from kdcli.evals.protocol import Protocol as Protocol
    from kdcli.evals.results import Result as Result
    from kdcli.evals.results import compare as compare
    from kdcli.evals.runner import check as check
    from kdcli.evals.runner import evaluate as evaluate


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'kdcli.evals' has no attribute '{name}'")
