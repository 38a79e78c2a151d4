"""Pictures as bytes: PNG for files, WebP or JPEG for pages, where a few pictures have to stay small."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage
    from torch import Tensor

QUALITY = 78
"""Of lossy pictures: edges of depth keep their colours, a photograph of 640x480 takes some 30 kB."""
FEW = 128 * 192
"""Pixels up to which nothing is lost: it would show when they are enlarged, and saves little."""


def png(image_3HW: Tensor) -> bytes:
    """Return a 3 x H x W tensor in 0..1 as the bytes of a PNG."""
    return _written(_pixels(image_3HW), "PNG")


def small(image_3HW: Tensor) -> tuple[bytes, str]:
    """Return a 3 x H x W tensor in 0..1 in the fewest bytes that do for a page, and what kind of file they are.

    Small pictures lose nothing; larger ones are lossy, as WebP or, where Pillow was built without it, as JPEG.
    """
    from PIL import features

    picture = _pixels(image_3HW)
    lossless = picture.width * picture.height <= FEW
    if features.check("webp"):
        return _written(picture, "WEBP", quality=QUALITY, method=4, lossless=lossless), "image/webp"
    if lossless:
        return _written(picture, "PNG"), "image/png"
    return _written(picture, "JPEG", quality=QUALITY), "image/jpeg"


def data_address(data: bytes, kind: str = "image/png") -> str:
    """Return bytes as the address of an embedded picture."""
    return f"data:{kind};base64," + base64.b64encode(data).decode("ascii")


def _pixels(image_3HW: Tensor) -> PilImage:
    import torch
    from PIL import Image

    pixels = (image_3HW.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().contiguous()
    return Image.fromarray(pixels.numpy())


def _written(picture: PilImage, form: str, **how: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=form, **how)
    return stream.getvalue()
