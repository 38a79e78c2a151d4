"""Training: one step, the loop, the stages of a run and what comes out of it.

Nothing heavy is imported before a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["distill"]

if TYPE_CHECKING:
    from kdcli.training.run.job import distill as distill


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("kdcli.training.run.job"), name)
    raise AttributeError(f"module 'kdcli.training' has no attribute '{name}'")
