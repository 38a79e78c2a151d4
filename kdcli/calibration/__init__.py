"""Where metres come from: a student's numbers are held against measured depth, and the best formula is kept.

Nothing heavy is imported before a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["Calibrated", "calibrate"]

if TYPE_CHECKING:
    from kdcli.calibration.job import Calibrated as Calibrated
    from kdcli.calibration.job import calibrate as calibrate


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("kdcli.calibration.job"), name)
    raise AttributeError(f"module 'kdcli.calibration' has no attribute '{name}'")
