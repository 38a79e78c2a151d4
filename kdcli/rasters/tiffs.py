"""TIFF files of number types that Pillow decodes but does not list, or lists but decodes wrong.

Seen with Pillow 12 and 13: floats of 16 and 64 bits and big-endian whole numbers of 32 bits are no known form; and
compressed big-endian files of 32 bits come back with their bytes in the wrong order, since libtiff has already turned
them; and plain files of 8 or 16 bits that lie on their side are scrambled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from kdcli.rasters.places import Place, open_place

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _FORMAT, _PIXEL_SAMPLES = 258, 339, 277
_KINDS = {1: "u", 2: "i", 3: "f"}
_NAMES = {"u": "whole numbers", "i": "signed whole numbers", "f": "floats"}

for _photometric in (0, 1):
    for _prefix, _order in ((b"II", ""), (b"MM", "B")):
        # Additions only: what a later Pillow knows itself stays as it has it.
        _forms: dict[Any, tuple[str, str]] = TiffImagePlugin.OPEN_INFO
        _forms.setdefault((_prefix, _photometric, (3,), 1, (64,), ()), ("F", f"F;64{_order}F"))
        _forms.setdefault((_prefix, _photometric, (1,), 1, (32,), ()), ("I", f"I;32{_order}"))


class UnknownForm(SyntaxError):
    """A TIFF whose pixels are of a type that is not read; the message names it."""


class Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF file, opened; ``numbers`` gives its pixels in the type that they are stored in."""

    stored: np.dtype[Any] | None = None
    """Type of one-channel files of 16 to 64 bits, None for others."""

    def _setup(self) -> None:
        bits, form = (tuple(_several(self.tag_v2.get(tag, 1))) for tag in (_BITS, _FORMAT))
        kind = _KINDS.get(form[0])
        if kind is not None and len(bits) == 1 and bits[0] in (16, 32, 64):
            self.stored = np.dtype(f"{kind}{bits[0] // 8}")
        if self.stored == np.float16:  # its bytes are taken as whole numbers and seen as floats afterwards
            self.tag_v2[_FORMAT] = (1,)
        try:
            super()._setup()  # type: ignore[no-untyped-call,unused-ignore]
        except (SyntaxError, KeyError) as error:
            count = self.tag_v2.get(_PIXEL_SAMPLES, len(bits))
            several = f"{count} channels of " if count != 1 else ""
            what = f"{several}{bits[0]}-bit {_NAMES.get(kind or '', 'numbers of an unknown kind')}"
            raise UnknownForm(f"TIFF of {what}") from error
        # Pixels that are mapped from the file are laid out in the upright size before they are turned.
        self.filename = ""
        if self.tag_v2.prefix == b"MM" and self.tile and self.tile[0][0] == "libtiff":
            self.tile = [self._native(tile) for tile in self.tile]

    @staticmethod
    def _native(tile: Any) -> Any:
        """Return a tile whose raw mode says that bytes are in the order of this machine, as libtiff gives them."""
        name, extents, offset, (mode, *rest) = tile
        swapped = {"F;32BF": "F;32NF", "F;64BF": "F;64NF", "I;32B": "I;32N", "I;32BS": "I;32NS", "I;16BS": "I;16NS"}
        args = (swapped.get(mode, mode), *rest)
        return tile._replace(args=args) if hasattr(tile, "_replace") else (name, extents, offset, args)

    def numbers(self) -> NDArray[Any]:
        """Return the pixels, H x W, in the type that they are stored in; floats of 64 bits come as 32."""
        array: NDArray[Any] = np.asarray(self)
        if self.stored == np.float16:
            return np.ascontiguousarray(array).view(array.dtype.str.replace("u", "f")).astype(np.float16)
        if self.stored == np.uint32:
            return array.view(np.uint32)
        return array.astype(self.stored) if self.stored is not None and self.stored.kind in "iu" else array


def is_tiff(path: Place) -> bool:
    """Whether a file begins as TIFFs do."""
    with open_place(path) as stream:
        return stream.read(4) in _MAGIC


def floating(image: Image.Image) -> bool:
    """Whether the pixels of a picture are floating-point numbers."""
    return image.mode == "F" or (isinstance(image, Tiff) and image.stored == np.float16)


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
