"""Between which depths a branch says something: those of the network that it stands beside."""

from __future__ import annotations

import math

from kdcli.protocols import DepthModel

FAR, STEPS = 100.0, 1000.0
"""Metres where a network's range has no end, and how much nearer than that its nearest is where it begins at 0."""


def range_of(model: object) -> tuple[float, float]:
    """Return the nearest and farthest depth of a network, both positive and finite."""
    if not isinstance(model, DepthModel):
        return FAR / STEPS, FAR
    low, high = (float(end) for end in model.depth_range)
    far = high if 0 < high < math.inf else FAR
    return (low if 0 < low < far else far / STEPS), far
