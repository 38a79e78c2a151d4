"""What part of an image a protocol shows to the model, and what part of it counts.

Two things that published protocols mix up are kept apart: a ``Frame`` changes what the model sees (and, with it, the
ground truth), a ``Box`` only says which pixels of the ground truth are counted. Both are plain data, so that a
protocol's hash covers them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kdcli.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Rows and columns that count, the upper ends excluded."""

    rows: tuple[float, float]
    columns: tuple[float, float]
    of: tuple[int, int] | None = None
    """Height and width of the depth map that the numbers are pixels of; None: shares of any height and width."""
    unit: Literal["share", "pixel"] = "share"
    """What numbers are of a map of any size; a box in pixels then ends where the map does."""

    def bounds(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return top, bottom, left, right in pixels of a map; shares are cut, not rounded, as their authors do.

        Raises:
            DataError: the box is made for a map of another size.
        """
        if self.of is None:
            (top, bottom), (left, right) = self.rows, self.columns
            if self.unit == "pixel":
                return int(top), min(int(bottom), height), int(left), min(int(right), width)
            return int(top * height), int(bottom * height), int(left * width), int(right * width)
        if self.of != (height, width):
            raise DataError(
                f"the protocol's crop is for depth of {self.of[0]}x{self.of[1]} pixels, this source has "
                f"{height}x{width}; use --protocol plain"
            )
        return int(self.rows[0]), int(self.rows[1]), int(self.columns[0]), int(self.columns[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A cut of image and ground truth before the model sees anything, optionally after and before resizing."""

    height: int
    width: int
    short_side: int | None = None
    """Resize so that the shorter side of the image has this many pixels first."""
    bottom: bool = False
    """Cut at the lower edge instead of the vertical centre."""
    paste: bool = False
    """Ground truth keeps its full frame; the prediction is put back into it, everything around it is nearest."""
    stretch: bool = False
    """Nothing is cut: image and ground truth are resized to height and width, whatever their aspect ratio."""
    then: tuple[int, int] | None = None
    """Height and width that the cut is resized to, the ground truth by nearest pixel."""
    sampling: Literal["smooth", "nearest"] = "smooth"
    """How images are resized: as image libraries do, or by nearest pixel, as the ground truth always is."""

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Return top and left of the cut in a picture of the given size.

        Raises:
            DataError: the picture is smaller than the cut.
        """
        if height < self.height or width < self.width:
            raise DataError(
                f"the protocol cuts {self.height}x{self.width} pixels, but an image has {height}x{width}; "
                "use --protocol plain"
            )
        return (height - self.height) if self.bottom else (height - self.height) // 2, (width - self.width) // 2

    def resize(self, image_B3HW: Tensor, depth_B1HW: Tensor, valid_B1HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bring the shorter side of the image to ``short_side``, or all of it to the frame if that stretches.

        The ground truth comes to the same size by nearest pixel.
        """
        height, width = image_B3HW.shape[-2:]
        size = self.scaled(height, width)
        if size is None:
            return image_B3HW, depth_B1HW, valid_B1HW
        return self._resized(image_B3HW, depth_B1HW, valid_B1HW, size)

    def scaled(self, height: int, width: int) -> tuple[int, int] | None:
        """Return the size that an image of a height and width is brought to before the cut; None = it stays."""
        if self.stretch:
            return self.height, self.width
        if self.short_side is None:
            return None
        short = min(height, width)
        return int(self.short_side * height / short), int(self.short_side * width / short)

    def cut(self, map_BCHW: Tensor) -> Tensor:
        """Return the cut of a map."""
        top, left = self.corner(*map_BCHW.shape[-2:])
        return map_BCHW[..., top : top + self.height, left : left + self.width]

    def finish(self, image_B3HW: Tensor, depth_B1HW: Tensor, valid_B1HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bring what was cut to the size that the protocol wants it to have ``then``."""
        return self._resized(image_B3HW, depth_B1HW, valid_B1HW, self.then or (self.height, self.width))

    def _resized(
        self, image: Tensor, depth: Tensor, valid: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        made = resize_image(image, size) if self.sampling == "smooth" else nearest(image, size)
        return made, nearest(depth, size), nearest(valid, size)


def middle_rows(map_BCHW: Tensor, share: float) -> Tensor:
    """Return the middle share of a map's rows, rounded to a whole number of them."""
    height = map_BCHW.shape[-2]
    rows = rows_of(height, share)
    top = (height - rows) // 2
    return map_BCHW[..., top : top + rows, :]


def rows_of(height: int, share: float) -> int:
    """Return how many rows a share of them is."""
    return max(1, round(share * height))


def resize_image(image_B3HW: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by bilinear interpolation, smoothed where it shrinks, as image libraries do."""
    from torch.nn.functional import interpolate

    if tuple(image_B3HW.shape[-2:]) == size:
        return image_B3HW
    return interpolate(image_B3HW, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def nearest(map_B1HW: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by taking the pixel whose centre is nearest; booleans stay booleans."""
    import torch
    from torch.nn.functional import interpolate

    if tuple(map_B1HW.shape[-2:]) == size:
        return map_B1HW
    if map_B1HW.dtype == torch.bool:
        return interpolate(map_B1HW.float(), size, mode="nearest-exact") > 0.5
    return interpolate(map_B1HW, size, mode="nearest-exact")
