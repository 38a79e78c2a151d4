"""The operators by name: functions whose arguments are the parameters of their definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kdcli.exporters.mil.operators import layers, pointwise, reductions, resizing, shapes

OPERATORS: Mapping[str, Callable[..., Any]] = {
    **pointwise.TABLE, **reductions.TABLE, **layers.TABLE, **resizing.TABLE, **shapes.TABLE,
}
