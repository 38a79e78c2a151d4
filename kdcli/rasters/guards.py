"""What is looked at before a file is decoded: is it there, is it a file, would it fill the memory."""

from __future__ import annotations

import math
import os

from kdcli.errors import ConfigError, DataError
from kdcli.files import is_lfs_pointer
from kdcli.rasters.places import Member, Place, file_of

PIXEL_LIMIT = 100_000_000
"""Most pixels that are decoded unless ``KDCLI_MAX_MEGAPIXELS`` says otherwise."""

VARIABLE = "KDCLI_MAX_MEGAPIXELS"


def must_exist(place: Place) -> None:
    """Refuse a place that is no file with content.

    Raises:
        DataError: a folder, missing, forbidden, no plain file, of no bytes, or a Git LFS pointer.
    """
    path = file_of(place)
    if isinstance(place, Member) and place.size == 0:
        raise DataError(f"'{place}' is empty (0 bytes); pack the archive again or leave it out")
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, not a file; give an image")
    if not path.exists():
        raise DataError(f"'{path}' does not exist; check the path")
    if not path.is_file():  # to wait for a pipe could take for ever
        raise DataError(f"'{path}' is a pipe or a device, not a file; write it to a file first")
    if not os.access(path, os.R_OK):
        raise DataError(f"'{path}' may not be read; change its permissions")
    if path.stat().st_size == 0:
        raise DataError(f"'{path}' is empty (0 bytes); re-download it or leave it out")
    if is_lfs_pointer(path):
        raise DataError(f"'{path}' is a Git LFS pointer, not the file itself; run 'git lfs pull' in its repository")


def pixel_limit() -> int:
    """Return the most pixels that are decoded: ``KDCLI_MAX_MEGAPIXELS`` millions, else ``PIXEL_LIMIT``.

    Raises:
        ConfigError: the variable is no number above 0.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return PIXEL_LIMIT
    try:
        millions = float(text)
    except ValueError:
        millions = math.nan
    if not 0 < millions < 1e6:
        raise ConfigError(f"{VARIABLE}={text[:40]} is no number above 0 and below a million; 400 allows 20000 x 20000")
    return int(millions * 1e6)


def within_limit(path: Place, pixels: int, shape: tuple[int, ...] = ()) -> None:
    """Refuse more pixels than ``pixel_limit`` before anything of that size is made.

    shape: width and height, or the lengths of an array, for the message.

    Raises:
        DataError: more than that.
    """
    limit = pixel_limit()
    if pixels > limit:
        size = f" ({' x '.join(map(str, shape))})" if shape else ""
        raise DataError(
            f"'{path}' says that it has {_millions(pixels)} megapixels{size}, more than the limit of "
            f"{_millions(limit)} megapixels; make it smaller, leave it out, or allow it with "
            f"{VARIABLE}={math.ceil(pixels / 1e6)}"
        )


def _millions(pixels: int) -> str:
    return f"{pixels / 1e6:.0f}" if pixels >= 1e6 else f"{pixels / 1e6:g}"
