"""Whether the unit that depth is read in can be that of the whole source, and whether all of it has one unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.images import depth_form
from kdcli.sources.checks.units import Look
from kdcli.sources.pairs import OfFiles
from kdcli.types import Finding

_SCALES = (1.0, 100.0, 256.0, 1000.0, 5000.0, 10000.0)
_GAP, _SPREAD = 3.0, 0.5
"""Two units side by side leave a gap of this factor between the medians of maps, and each group within its share."""
_RATIOS = (5.0, 3.90625, 19.53125, 8.0, 10.0, 100.0, 1000.0)
"""Of units that are in use: 5000, 1000, 256, and millimetres with rotated bits; centimetres, metres."""
_ALIKE = 0.2
_LEAST = 2


def usual(source: OfFiles, median: float) -> bool:
    """Whether this median depth, metres, is one that the layout's data have."""
    return source.usual_median[0] <= median <= source.usual_median[1]


def about_scale(source: OfFiles, known: NDArray[np.float32], median: float) -> Finding:
    """Say that the depth is probably read at the wrong scale, and at which it would be plausible."""
    (low, high), (path, used) = source.usual_median, _units(source)
    stored = known * used
    scales = list(_SCALES)
    # Millimetres rotated by three bits, as SUN RGB-D stores them, are eighths of one wherever they are below 8.2 m.
    if (stored.round() % 8 == 0).mean() > 0.9:
        scales.append(8000.0)
    middle = (max(low, 0.5) * min(high, 20.0)) ** 0.5
    likely = [s for s in scales if s != used and max(low, 0.4) <= median * used / s <= min(high, 60.0)]
    likely.sort(key=lambda s: abs(math.log(median * used / s / middle)))
    if 8000.0 in likely:
        likely = [8000.0, *(s for s in likely if s != 8000.0)]
    names = {1000.0: " for millimetres", 100.0: " for centimetres"}
    options = " or ".join(f"scale={s:g}{names.get(s, '')} (median {median * used / s:.3g} m)" for s in likely[:3])
    remedy = f"it is plausible with {options}" if options else "check the unit of the files and set scale="
    said = f"median depth {median:.4g} m at scale={used:g} is not the usual {low:g} to {high:g} m"
    return Finding(level="warning", message=f"{said}; {remedy}", path=path)


def _units(source: OfFiles) -> tuple[str | None, float]:
    """Return a depth file that can be read, and the units per metre that it is read with."""
    for pair in source.pairs:
        scale = source.scale_of(pair)
        with suppress(DataError):
            if pair.depth is not None:
                return str(pair.depth), depth_form(pair.depth, source.codec).units(scale)
    return None, 1.0


def about_mixture(looks: Sequence[Look]) -> list[Finding]:
    """Say that maps fall into two groups as far apart as two units in use are, with nothing between them."""
    maps = sorted((one for one in looks if one.least is not None and not one.shallow), key=lambda one: one.median)
    logs = [math.log(one.median) for one in maps]
    gaps = [(after - before, i) for i, (before, after) in enumerate(pairwise(logs), 1)]
    if not gaps:
        return []
    gap, at = max(gaps)
    near, far = logs[:at], logs[at:]
    widest = max(near[-1] - near[0], far[-1] - far[0])
    ratio = math.exp(sum(far) / len(far) - sum(near) / len(near))
    known = any(abs(ratio / one - 1) <= _ALIKE for one in _RATIOS)
    if min(len(near), len(far)) < _LEAST or gap < math.log(_GAP) or widest > _SPREAD * gap or not known:
        return []
    first, other = (maps[0], maps[-1])
    message = (
        f"depth maps fall into two groups, {len(near)} with medians up to {maps[at - 1].median:.3g} m, such as "
        f"'{first.path}', and {len(far)} from {maps[at].median:.3g} m, such as '{other.path}', {ratio:.3g} times as "
        "far: if they were stored in two units, give them apart, each with its scale="
    )
    return [Finding(level="warning", message=message, path=str(other.path))]
