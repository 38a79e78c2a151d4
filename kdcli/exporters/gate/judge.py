"""What passes the gate: limits by format and by how many bits the numbers of a file have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kdcli.errors import ConfigError
from kdcli.exporters.gate.compare import Drift

Precision = Literal["fp32", "fp16", "int8"]

TOLERANCE = 1e-3
"""Largest difference relative to the largest depth of a file in float32, where its format says nothing else."""

HALF_MEAN, HALF_LARGEST = 2e-3, 2e-2
"""Largest mean and largest single AbsRel to the network of a file in half precision."""

AGREEMENT = 0.95
"""Share of pixels within a factor of 1.25 of the model (delta1 against it) that an int8 file must reach."""


def judge(drifts: Sequence[Drift], *, precision: Precision, tolerance: float) -> None:
    """Let a file pass or not.

    Files in float32 are judged by the largest difference, since there it can only come from a fault; files with fewer
    bits by depth: each difference over the depth at that pixel.

    Raises:
        ConfigError: it is too far from the model.
    """
    for drift in drifts:
        wrong = _wrong(drift, precision, tolerance)
        if wrong:
            raise ConfigError(wrong)


def _wrong(drift: Drift, precision: Precision, tolerance: float) -> str | None:
    if precision == "int8" and drift.agreement < AGREEMENT:
        return (f"the int8 file agrees with the model on {drift.agreement:.1%} of the pixels (delta1), "
                f"{AGREEMENT:.0%} are needed; give --images of the target, or export without --int8")
    if precision == "fp16" and not (drift.abs_rel <= HALF_MEAN and drift.largest_abs_rel <= HALF_LARGEST):
        return (f"the fp16 file is {drift.abs_rel:.2%} from the model on average and {drift.largest_abs_rel:.2%} at "
                f"most, {HALF_MEAN:.1%} and {HALF_LARGEST:.0%} are allowed; export it with --precision fp32")
    if precision == "fp32" and not drift.relative <= tolerance:
        return (f"the exported file drifts from the model: {drift}, {tolerance:g} is allowed; nothing was written, "
                "try another --format or a fixed --size")
    return None
