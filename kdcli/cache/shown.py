"""How an image is recognised: by its pixels, so that a changed file is another image and a moved one the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An image as the source gives it. size: its height and width, before it is brought to the stage's."""

    id: str
    size: tuple[int, int]
    pixels: str
    """sha256 of its 8-bit pixels."""
    focal: float | None = None
    """Pixels; None where the source does not know it."""

    def address(self, *, focal: bool) -> str:
        """Return the name of its map: 40 hexadecimal digits. focal: whether the teacher scales by the focal length."""
        named = f"{self.size[0]}x{self.size[1]} {self.pixels}"
        if focal and self.focal is not None:
            named += f" {self.focal:.7g}"
        return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def shown(name: str, image_3HW: Tensor, focal: float | None = None) -> Shown:
    """Describe an image of 3 x H x W in 0..1 by the sha256 of its 8-bit pixels."""
    pixels = (image_3HW.detach().to("cpu") * 255).round().clamp(0, 255).to(torch.uint8).contiguous()
    size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
    return Shown(id=name, size=size, pixels=hashlib.sha256(pixels.numpy().data).hexdigest(), focal=focal)
