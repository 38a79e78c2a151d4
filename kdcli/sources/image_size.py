"""The size of a source's images as they are."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from kdcli.sources.parts import renders

if TYPE_CHECKING:
    from kdcli.protocols import Source

LOOKED_AT = 3
"""Images whose size is looked at; the middle one by shape counts."""
_MANY = 10**7
"""Length from which only the first image is looked at."""


def image_size(source: Source) -> tuple[int, int] | None:
    """Return height and width of a source's images as they are; None for one that renders any.

    Raises:
        DataError: an image cannot be read.
    """
    if renders(source):
        return None
    last = len(source) - 1
    looked = sorted({round(i * last / (LOOKED_AT - 1)) for i in range(LOOKED_AT)}) if last < _MANY else [0]
    sizes = [_size(source[i].image) for i in looked]
    middle = statistics.median_low([width / height for height, width in sizes])
    return next(size for size in sizes if size[1] / size[0] == middle)


def native_size(source: Source) -> tuple[int, int]:
    """Return it also for a source that renders: the size at which it does where nobody says one.

    Raises:
        DataError: an image cannot be read.
    """
    own: Any = getattr(source, "size", None) if renders(source) else image_size(source)
    return (int(own[0]), int(own[1])) if own is not None else _size(source[0].image)


def _size(image: Any) -> tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])
