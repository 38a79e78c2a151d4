"""How a picture's metadata turns or mirrors it, and the same for the maps that belong to it: depth, ids, masks.

Numbers are those of EXIF tag 0x0112: 1 as stored, 2 mirrored left to right, 3 half a turn, 4 mirrored top to bottom,
5 mirrored about the main diagonal, 6 a quarter clockwise, 7 mirrored about the other diagonal, 8 a quarter back. The
camera follows by ``kdcli.cameras.turn_camera``.
"""

from __future__ import annotations

from PIL import Image
from torch import Tensor

_TAG = 0x0112
_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image) -> int:
    """Return the orientation that an open picture's metadata names, 1 where it names none that there is."""
    try:
        found = image.getexif().get(_TAG, 1)
    except Exception:  # damaged metadata beside whole pixels; it has no say
        return 1
    return found if isinstance(found, int) and found in _METHODS else 1


def loaded_upright(image: Image.Image) -> tuple[Image.Image, int]:
    """Decode a picture and return it upright, with the orientation that it was stored in."""
    found = orientation(image)
    image.load()
    # Newer Pillow turns a TIFF in loading and takes the tag away; then nothing is left to do.
    left = orientation(image) if found != 1 else 1
    return (image.transpose(_METHODS[left]) if left != 1 else image), found


def turn(grid: Tensor, how: int) -> Tensor:
    """Return a map ... x H x W turned as orientation ``how`` turns the picture of the same pixels."""
    if how in (5, 6, 7, 8):
        grid = grid.transpose(-1, -2)
    flips = {2: (-1,), 3: (-1, -2), 4: (-2,), 6: (-1,), 7: (-1, -2), 8: (-2,)}.get(how, ())
    return grid.flip(flips).contiguous() if flips or how == 5 else grid


def like(grid: Tensor, how: int, size: tuple[int, int]) -> Tensor:
    """Return a map ... x h x w that belongs to a picture which orientation ``how`` turned to ``size``, turned alike.

    A map is taken to be stored like the pixels of the picture's file. Where the picture lies on its side and the map,
    which is no square, already has the shape of the upright picture, it was turned before and stays as it is.
    """
    return grid if is_upright(how, size, (grid.shape[-2], grid.shape[-1])) else turn(grid, how)


def is_upright(how: int, size: tuple[int, int], own: tuple[int, int]) -> bool:
    """Whether a map of (height, width) ``own`` needs no turn beside a picture turned to ``size``."""
    if how == 1:
        return True
    return how >= 5 and own[0] != own[1] and (own[0] < own[1]) == (size[0] < size[1])
