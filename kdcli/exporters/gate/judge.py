"""What passes the gate: limits by format and by how many bits the numbers of a file have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kdcli.errors import ConfigError
from kdcli.exporters.gate.compare import Drift

Precision = Literal["fp32", "fp16", "int8"]

TOLERANCE = 1e-3
"""Largest difference relative to the largest depth of a file in float32, where its format says nothing else."""

DEPTH_BUDGET = {"fp16": (2e-3, 2e-2), "int8": (6e-3, 5e-2)}
"""Largest mean and largest single AbsRel to the network of a file with fewer bits."""

_CURE = {"fp16": "export it with --precision fp32", "int8": "give --images of the target, or export without --int8"}


class TooFar(ConfigError):
    """A file with fewer bits works, and is further from its network than its budget of depth error allows.

    ``mean``: its AbsRel.
    """

    def __init__(self, text: str, mean: float) -> None:
        super().__init__(text)
        self.mean = mean


def judge(drifts: Sequence[Drift], *, precision: Precision, tolerance: float) -> None:
    """Let a file pass or not.

    Files in float32 are judged by the largest difference, since there it can only come from a fault; files with fewer
    bits by depth: each difference over the depth at that pixel.

    Raises:
        TooFar: a file with fewer bits is beyond its budget. ConfigError: a file in float32 is too far from the model.
    """
    for drift in drifts:
        if precision == "fp32":
            if not drift.relative <= tolerance:
                raise ConfigError(f"the exported file drifts from the model: {drift}, {tolerance:g} is allowed; "
                                  "nothing was written, try another --format or a fixed --size")
            continue
        mean, largest = DEPTH_BUDGET[precision]
        if not (drift.abs_rel <= mean and drift.largest_abs_rel <= largest):
            height, width = drift.shape[2:]
            raise TooFar(
                f"the {precision} file is {drift.abs_rel:.2%} from the model on average and "
                f"{drift.largest_abs_rel:.2%} at most at {height}x{width}, {mean:.1%} and {largest:.0%} are allowed; "
                f"{_CURE[precision]}", drift.abs_rel,
            )
