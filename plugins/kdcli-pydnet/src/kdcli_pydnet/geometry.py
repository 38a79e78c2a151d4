"""Which part of an image a network sees, and at which size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.spec import parse_size

NATIVE = "native"
"""Value of ``size`` that lets the network see images at about their own size."""


def parse_net_size(text: str, multiple: int, name: str) -> tuple[int, int] | None:
    """Parse the size that a network works at: (height, width), or None for ``native``.

    Raises:
        SpecError: neither HxW nor ``native``, or no multiple of what the network halves to whole pixels.
    """
    if text == NATIVE:
        return None
    height, width = parse_size(text)
    if height % multiple or width % multiple:
        fit = "x".join(str(nearest_multiple(side, multiple)) for side in (height, width))
        raise SpecError(f"'{name},size={text}' is no multiple of {multiple}; use {fit}, or {NATIVE}")
    return height, width


def nearest_multiple(side: int, multiple: int) -> int:
    """Return the multiple of ``multiple`` nearest to ``side``, at least one of it."""
    return max(1, (side + multiple // 2) // multiple) * multiple


def to_net_size(
    image: Tensor, size: tuple[int, int] | None, multiple: int, *, in_bytes: bool = False
) -> Tensor:
    """Resize a whole image, B x 3 x H x W, to the network's size; ``None`` means about its own.

    Bilinear, with pixel centres aligned and low-pass filtered where it shrinks, as image libraries do. in_bytes: with
    their rounding too, to whole bytes after columns and after rows: that is what published weights were measured on.
    Gradients pass as if nothing were rounded.
    """
    own = image.shape[-2], image.shape[-1]
    height, width = size or (nearest_multiple(own[0], multiple), nearest_multiple(own[1], multiple))
    # Sizes that an export leaves open are no ints, and must not decide which operations there are.
    if all(isinstance(side, int) for side in own) and own == (height, width):
        return image
    if in_bytes:
        return _rounded(_resized(_rounded(_resized(image, (own[0], width))), (height, width)))
    return _resized(image, (height, width))


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def _rounded(image: Tensor) -> Tensor:
    return image + ((image * 255).round() / 255 - image).detach()


def centre_square(height: int, width: int, side: int) -> tuple[int, int, int]:
    """Return (top, left, side) of the centre square of a frame; a smaller frame gives its largest."""
    fit = min(side, height, width)
    return (height - fit) // 2, (width - fit) // 2, fit
