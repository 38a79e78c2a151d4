"""What a photograph's metadata turns is more than the photograph: its camera turns with it, and errors say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcli.cameras import Camera, turn_camera
from kdcli.images import is_upright

if TYPE_CHECKING:
    from kdcli.images import Picture, StoredDepth
    from kdcli.sources.pairs import OfFiles, Pair


def camera_of(source: OfFiles, pair: Pair, picture: Picture, depth: StoredDepth | None) -> Camera | None:
    """Return fx, fy, cx, cy of a picture as it is read, upright, or None where unknown.

    A camera is taken to be that of the pixels of the file, as depth is; where the depth is already upright, the camera
    is too.
    """
    size, turned = picture.size, picture.turned
    if depth is not None:
        own = (int(depth.values.shape[0]), int(depth.values.shape[1]))
        turned = 1 if depth.turned != 1 or is_upright(turned, size, own) else turned
    if turned == 1:
        return source.camera(pair, *size)
    camera = source.camera(pair, *picture.stored_size)
    return None if camera is None else turn_camera(camera, turned, picture.stored_size)


def turned_note(turned: int) -> str:
    """Return what an error about sizes adds where the metadata of a photograph turned it."""
    return f" (the photograph's EXIF orientation {turned} turned or mirrored it)" if turned != 1 else ""
