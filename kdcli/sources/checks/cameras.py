"""Cameras that cannot be, and focal lengths of a list that its set's own calibration contradicts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kdcli.cameras import Camera
from kdcli.sources.pairs import Pair
from kdcli.types import Finding

_NARROW, _WIDE = 10.0, 160.0
"""Degrees of view between which a camera's picture is one that depth networks see."""
_UNEQUAL = 1.5
_TINY = 160
"""Pixels of width below which an image is an example rather than a photograph."""
_CONTRADICTS = 0.01


def about_cameras(found: Sequence[tuple[str, Camera, tuple[int, int]]]) -> list[Finding]:
    """Name cameras that cannot be. found: name of the image, fx, fy, cx, cy in its pixels, its height and width."""
    found = [one for one in found if one[2][1] >= _TINY]
    wrong = [(name, size, why) for name, camera, size in found if (why := _wrong(camera, size))]
    if not wrong:
        return []
    name, (height, width), why = wrong[0]
    message = (
        f"cameras of {len(wrong)} of {len(found)} images cannot be, such as that of '{name}' ({width}x{height}, width "
        f"x height): {why}; check which size of image they are meant for"
    )
    return [Finding(level="warning", message=message)]


def view(camera: Camera, size: tuple[int, int]) -> float:
    """Return the horizontal angle of view in degrees of a picture of this height and width."""
    return 2 * math.degrees(math.atan(size[1] / (2 * camera[0])))


def _wrong(camera: Camera, size: tuple[int, int]) -> str:
    across, down, x, y = camera
    height, width = size
    if not (math.isfinite(sum(camera)) and across > 0 and down > 0):
        return f"focal lengths {across:g} and {down:g}"
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        return f"its centre ({x:g}, {y:g}) lies outside of the image"
    if not _NARROW <= view(camera, size) <= _WIDE:
        return f"focal length {across:g} would see {view(camera, size):.3g} degrees"
    if max(across / down, down / across) > _UNEQUAL:
        return f"focal lengths {across:g} across and {down:g} down"
    return ""


def about_focals(pairs: Sequence[tuple[Pair, Camera]]) -> list[Finding]:
    """Name focal lengths of a list that are not those of the calibration that is used instead of them."""
    other = [
        (pair, camera) for pair, camera in pairs
        if pair.focal is not None and abs(camera[0] / pair.focal - 1) > _CONTRADICTS
    ]
    if not other:
        return []
    pair, camera = other[0]
    message = (
        f"the list gives {len(other)} of {len(pairs)} images another focal length than the calibration, such as "
        f"{pair.focal:g} for '{pair.image}' where that has {camera[0]:.6g}; the calibration is used"
    )
    return [Finding(level="warning", message=message, path=str(pair.image))]
