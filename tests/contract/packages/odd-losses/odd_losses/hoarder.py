"""Keeps what no checkpoint gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs


class Hoarder:
    """``what`` says what it keeps: from the first step on, or ``later`` than others."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, what: str = "numpy", since: int = 0) -> None:
        self.what, self.since = what, since

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean difference, and keep something."""
        value = (ctx.student.out.depth - ctx.target()[0]).abs().mean()
        if ctx.step >= self.since:
            ctx.state["hoard"] = self._thing(value)
        return {"value": value}

    def _thing(self, value: Tensor) -> Any:
        things: dict[str, Any] = {
            "numpy": np.float64(value.item()), "array": np.zeros(2), "generator": torch.Generator(),
            "gradient": value, "object": self, "set": {1, 2}, "nested": {"a": [1, (np.int64(3),)]},
            "parameter": torch.nn.Parameter(torch.zeros(1)), "function": len, "dtype": torch.float32,
        }
        return things[self.what]
