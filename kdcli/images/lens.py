"""The lens that a photograph's metadata names, as a focal length in pixels."""

from __future__ import annotations

import math

from PIL import Image

from kdcli.images.opening import opened
from kdcli.images.pictures import is_array
from kdcli.rasters import Place

_EXIF, _FOCAL_35MM = 0x8769, 0xA405
_DIAGONAL_35MM = math.hypot(36.0, 24.0)
"""Millimetres across a frame of 35 mm film, to which the tag FocalLengthIn35mmFilm refers."""


def focal_of(path: Place) -> float | None:
    """Return the focal length of a photograph in its own pixels, None where its metadata does not tell.

    It is that of the EXIF tag FocalLengthIn35mmFilm, by diagonals as CIPA DCG-001 defines it; a photograph that was cut
    out of a larger one has the tag of that.

    Raises:
        DataError: missing, or no image.
    """
    if is_array(path):
        return None
    with opened(path) as image:
        millimetres = _millimetres(image)
        return None if millimetres is None else millimetres / _DIAGONAL_35MM * math.hypot(*image.size)


def _millimetres(image: Image.Image) -> float | None:
    try:
        found = float(image.getexif().get_ifd(_EXIF).get(_FOCAL_35MM, 0))
    except Exception:  # damaged metadata beside whole pixels; it has no say
        return None
    return found if 0 < found < math.inf else None  # 0 says that it is unknown
