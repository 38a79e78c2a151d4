"""What single depth files say of their unit, and photographs of how they are turned, that a source reads past."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from torch import Tensor

from kdcli.errors import DataError
from kdcli.images import Form, depth_form, turned_by
from kdcli.rasters import Place
from kdcli.sources.pairs import OfFiles, Pair
from kdcli.types import Finding

NEAREST, FURTHEST = 0.01, 200.0
"""Metres below or beyond which not every pixel of a depth map can lie."""

_MANY_METRES = 100.0
_SCALES = {1000.0: "millimetres", 1.0: "metres", 100.0: "centimetres", 256.0: "KITTI's", 5000.0: "TUM's"}
_PLAUSIBLE = (0.3, 60.0)
_ON_SIDE = 5
_FLOATS = Form(bits=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One item that was read.

    path: of its depth. form: of the numbers. used: units per metre that they were read with. given: whether the user or
    the layout said so. least, median, most: metres, None where no pixel is valid. turned: orientation of the
    photograph, named ``image``; sized: whether the depth's shape tells if it was turned before.
    """

    image: Place
    path: Place | None = None
    form: Form = _FLOATS
    used: float = 1.0
    given: bool = False
    least: float | None = None
    median: float = 0.0
    most: float = 0.0
    turned: int = 1
    sized: bool = True

    @property
    def impossible(self) -> bool:
        """Whether the depth cannot be in the unit that it is read with."""
        if self.least is None:
            return False
        metres = not self.form.bits and not self.given and self.median > _MANY_METRES
        return self.most < NEAREST or self.least > FURTHEST or metres

    @property
    def shallow(self) -> bool:
        """Whether 8 bits are taken for millimetres without anybody having said so."""
        return self.form.bits == 8 and not self.given


def look(source: OfFiles, pair: Pair, depth: Tensor | None, known: Tensor | None) -> Look:
    """Return what one item that could be read is like; depth: 1 x h x w, known: its valid numbers, metres."""
    turned, form = 1, _FLOATS
    with suppress(DataError):
        turned = turned_by(pair.image)
    if pair.depth is None or depth is None or known is None:
        return Look(image=pair.image, turned=turned)
    with suppress(DataError):
        form = depth_form(pair.depth, source.codec)
    asked = source.scale_of(pair)
    facts = (float(known.min()), float(known.median()), float(known.max())) if known.numel() else (None, 0.0, 0.0)
    return Look(
        image=pair.image, path=pair.depth, form=form, used=form.units(asked), given=(asked or form.scale) is not None,
        least=facts[0], median=facts[1], most=facts[2], turned=turned,
        sized=turned >= _ON_SIDE and depth.shape[-1] != depth.shape[-2],
    )  # fmt: skip


def about_values(looks: Sequence[Look], *, doubted: bool = False) -> list[Finding]:
    """Return what is suspicious about single files: 8 bits, units that cannot be, pictures turned by metadata.

    doubted: the unit of all of them was already doubted for their common median; then only exceptions are worth a word.
    """
    total = sum(one.least is not None for one in looks)
    shallow = [one for one in looks if one.shallow]
    impossible = [one for one in looks if one.impossible and not one.shallow]
    if doubted and len(impossible) == total:
        impossible = []
    return [*_shallow(shallow, total), *_impossible(impossible, total), *_turned(looks)]


def all_shallow(looks: Sequence[Look]) -> bool:
    """Whether every depth map has 8 bits that nobody gave a unit, which says more than their median does."""
    with_depth = [one for one in looks if one.least is not None]
    return bool(with_depth) and all(one.shallow for one in with_depth)


def _shallow(found: Sequence[Look], total: int) -> list[Finding]:
    if not found:
        return []
    message = (
        f"{len(found)} of {total} depth maps are 8-bit, such as '{found[0].path}', and taken for millimetres, at most "
        "0.255 m; say what they are with scale= (25.5 where 255 is 10 m, 1000 for millimetres), or give the raw depth"
    )
    return [Finding(level="warning", message=message, path=str(found[0].path))]


def _impossible(found: Sequence[Look], total: int) -> list[Finding]:
    """Name the first of each type, with the scale that would fit."""
    findings = []
    for bits in sorted({one.form.bits for one in found}):
        same = [one for one in found if one.form.bits == bits]
        first = same[0]
        kind = f"{bits}-bit whole numbers" if bits else "floats"
        message = (
            f"{len(same)} of {total} depth maps ({kind}) cannot be in the unit they are read in, scale={first.used:g}: "
            f"'{first.path}' lies between {first.least:.3g} and {first.most:.4g} m, median {first.median:.4g} m; "
            f"{_remedy(first)}"
        )
        findings.append(Finding(level="warning", message=message, path=str(first.path)))
    return findings


def _remedy(one: Look) -> str:
    low, high = _PLAUSIBLE
    stored = one.median * one.used
    fitting = [(scale, name) for scale, name in _SCALES.items() if scale != one.used and low <= stored / scale <= high]
    if not fitting:
        return "set scale= to the stored units per metre"
    options = " or ".join(f"scale={s:g} ({name}: median {stored / s:.3g} m)" for s, name in fitting[:3])
    return f"it would fit with {options}"


def _turned(looks: Sequence[Look]) -> list[Finding]:
    turned = [one for one in looks if one.turned != 1]
    if not turned:
        return []
    doubtful = [one for one in turned if not one.sized and one.path is not None]
    first = (doubtful or turned)[0]
    message = (
        f"{len(turned)} of {len(looks)} photographs are turned or mirrored by their metadata, such as '{first.image}' "
        f"(EXIF orientation {first.turned}); depth, object ids and camera stored like the file's pixels are turned "
        "alike"
    )
    if doubtful:
        message += (
            "; whether they were turned before, their sizes cannot tell: if so, save the photographs upright without "
            "the tag"
        )
    return [Finding(level="warning" if doubtful else "info", message=message, path=str(first.image))]

