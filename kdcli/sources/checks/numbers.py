"""What the stored numbers of single depth maps give away: rotated bits, stretched bytes, marks taken for metres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdcli.codecs import Codec
from kdcli.errors import DataError
from kdcli.images import NO_VALUE, opened
from kdcli.rasters import Place
from kdcli.rasters.places import ending_of
from kdcli.sources.checks.units import Look
from kdcli.types import Finding

_WHOLE = 0.02
"""What float32 metres times units per metre may be off a whole number of 16 bits."""
_LEVELS = 32
"""Different numbers below which it is no wonder that they have a common factor."""
_STRETCHED = 16
_EIGHTHS = 8000.0
_ROTATED = 0.9
"""Share of numbers whose three lowest bits are 0 or 1, as those of rotated millimetres are below 16 m; of others a
quarter are."""
_TOP = 0.02
"""Share of a map's pixels that one greatest measurement has by far not."""
_COMMON = 2 / 3
_FLAT = 0.8
"""Least over greatest depth from which on a map shows one wall, which may well have one depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Of one depth map. factor: greatest common divisor of its stored whole numbers, 1 where there is none to tell.

    levels: how many different ones. low: share of the pixels whose number has 0 or 1 in its three lowest bits. top:
    share of the valid pixels that have exactly the greatest value, ``greatest`` metres. logarithmic: whether its file
    says that its numbers are.
    """

    path: Place
    factor: int = 1
    levels: int = 0
    low: float = 0.0
    top: float = 0.0
    greatest: float = 0.0
    logarithmic: bool = False


def numbers_of(known: NDArray[np.float32], seen: Look, codec: Codec) -> Numbers | None:
    """Return what the valid numbers of one map, metres, are like; None without any or where 8 bits have no unit.

    codec: what they were read with.
    """
    if seen.path is None or not known.size or seen.shallow:
        return None
    greatest = known.max()
    deep = known.min() < _FLAT * greatest
    top = float((known == greatest).mean()) if deep else 0.0
    factor, levels, low = 1, 0, 0.0
    asked = seen.used == _EIGHTHS  # whoever says so knows of the rotation
    stored = known.astype(np.float64) * seen.used
    if codec.plain and not codec.rotate and seen.form.bits == 16 and stored.max() <= NO_VALUE:
        whole = np.rint(stored)
        if np.abs(whole - stored).max() <= _WHOLE:
            counts = np.bincount(whole.astype(np.int64))
            used = np.flatnonzero(counts)
            factor, levels = int(np.gcd.reduce(used)), len(used)
            low = float((counts[::8].sum() + counts[1::8].sum()) / known.size)
    return Numbers(
        path=seen.path, factor=factor, levels=levels, low=0.0 if asked else low, top=top, greatest=float(greatest),
        logarithmic=codec.meaning == "depth" and _logarithmic(seen.path),
    )


def about_numbers(found: Sequence[Numbers], *, doubted: bool) -> list[Finding]:
    """Return what is suspicious. doubted: the unit of all maps was doubted already, rotated bits with it."""
    telling = [one for one in found if one.levels >= _LEVELS]
    stretched = [one for one in telling if one.factor >= _STRETCHED]
    rotated = [one for one in telling if one.low >= _ROTATED and one not in stretched]
    logarithmic = [one for one in found if one.logarithmic]
    said: list[tuple[Sequence[Numbers], str]] = []
    if rotated and not (doubted and len(rotated) == len(found)):
        said.append((rotated, (
            f"have no number in the lowest three bits of {rotated[0].low:.0%} of their pixels but 0 and 1, as "
            "millimetres do whose bits were rotated by three (SUN RGB-D); codec=sunrgbd reads them, scale=8000 does "
            "below 8.19 m"
        )))
    if stretched:
        one = stretched[0]
        said.append((stretched, (
            f"hold {one.levels} different numbers, all multiples of {one.factor}: fewer bits stretched to 16, as "
            "pictures of depth are; give the raw depth"
        )))
    if logarithmic:
        said.append((logarithmic, (
            "say that their numbers are logarithmic (text chunks near and far, as MoGe writes them) and are read as if "
            "they were not; give codec=moge"
        )))
    return [*(_finding(which, text, len(found)) for which, text in said), *_marks(found)]


def _marks(found: Sequence[Numbers]) -> list[Finding]:
    """Name one greatest value that many pixels of most maps have: sky, a clip, or a mark for nothing."""
    full = [one for one in found if one.top >= _TOP]
    if len(full) < 2:
        return []
    value, times = Counter(one.greatest for one in full).most_common(1)[0]
    if times < 2 or times < _COMMON * len(full):
        return []
    same = [one for one in full if one.greatest == value]
    share = sum(one.top for one in same) / len(same)
    text = (
        f"have {share:.1%} of their pixels at exactly {value:.6g} m, their greatest: a sky, a clip or a mark for "
        "nothing, which is no measurement; store 0 there or give masks"
    )
    return [_finding(same, text, len(found))]


def _finding(which: Sequence[Numbers], text: str, total: int) -> Finding:
    message = f"{len(which)} of {total} depth maps, such as '{which[0].path}', {text}"
    return Finding(level="warning", message=message, path=str(which[0].path))


def _logarithmic(path: Place) -> bool:
    if ending_of(path) != ".png":
        return False
    with suppress(DataError), opened(path) as image:
        return {"near", "far"} <= image.info.keys()
    return False
