"""Items of a source for training at one size, from sources that can read them smaller than they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdcli.protocols import Source
    from kdcli.types import Sample


def sized(source: Source, index: int, size: tuple[int, int]) -> Sample:
    """Return an item with its image at (height, width) or larger: nearer to that size where its source can.

    Raises:
        DataError: it cannot be read.
    """
    own: Any = getattr(source, "sized", None)
    sample: Sample = source[index] if own is None else own(index, size)
    return sample
