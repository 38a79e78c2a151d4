"""Between which depths a branch or a further network says something: those of the network that it stands beside."""

from __future__ import annotations

import math

from torch import nn

import kdcli
from kdcli.errors import SpecError
from kdcli.protocols import DepthModel
from kdcli.spec import parse

FAR, STEPS = 100.0, 1000.0
"""Metres where a network's range has no end, and how much nearer than that its nearest is where it begins at 0."""


def range_of(model: object) -> tuple[float, float]:
    """Return the nearest and farthest depth of a network, both positive and finite."""
    if not isinstance(model, DepthModel):
        return FAR / STEPS, FAR
    low, high = (float(end) for end in model.depth_range)
    far = high if 0 < high < math.inf else FAR
    return (low if 0 < low < far else far / STEPS), far


def in_range(spec: str, far: float) -> nn.Module:
    """Return a new student whose range ends at ``far`` metres, where it has such a key and its spec does not say it.

    Raises:
        SpecError: no such student.
    """
    if "max_depth" not in parse(spec).options:
        try:
            return kdcli.build("student", f"{spec},max_depth={far:g}")  # type: ignore[no-any-return]
        except SpecError as error:
            if "max_depth" not in str(error):
                raise
    return kdcli.build("student", spec)  # type: ignore[no-any-return]
