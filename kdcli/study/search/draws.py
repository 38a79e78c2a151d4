"""Settings out of ranges: points of a scrambled Sobol sequence, which cover few dimensions more evenly than chance.

The sequence depends on the seed and the number of ranges alone: more trials are more of the same settings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kdcli.errors import ConfigError
from kdcli.study.ranges import Space

_AT_ONCE = 64
_TIRELESS = 1024


def settings_at(spaces: Mapping[str, Space], shares: Sequence[float]) -> dict[str, Any]:
    """Return the setting at a point of the unit cube, one share for each range."""
    return {name: space.at(share) for (name, space), share in zip(spaces.items(), shares, strict=True)}


def key(values: Mapping[str, Any]) -> str:
    """Return what tells settings apart."""
    return json.dumps(values, sort_keys=True)


def points(
    spaces: Mapping[str, Space], number: int, seed: int, *, known: Collection[str] = ()
) -> list[tuple[float, ...]]:
    """Return points of the unit cube whose settings differ from one another and from those with a ``key`` in ``known``.

    Raises:
        ConfigError: the ranges do not hold as many settings.
    """
    import torch
    from torch.quasirandom import SobolEngine

    engine = SobolEngine(len(spaces), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    seen, found = set(known), list[tuple[float, ...]]()
    for _ in range(number + _TIRELESS):
        if len(found) >= number:
            break
        for point in engine.draw(_AT_ONCE, dtype=torch.float64).tolist():
            if (told := key(settings_at(spaces, point))) not in seen:
                seen.add(told)
                found.append(tuple(point))
    if len(found) < number:
        raise ConfigError(f"the ranges hold {len(seen)} settings; ask for at most as many --trials, or widen a range")
    return found[:number]
