"""The fixed part of a frame that a data set's literature trains on, cut out of everything that belongs to an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kdcli.cameras import crop_camera
from kdcli.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from kdcli.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A window of fixed size: at ``corner`` of frames of one size, or at the bottom centre of frames of any."""

    name: str
    """As users write it, for messages."""
    size: tuple[int, int]
    corner: tuple[int, int] | None = None
    """Top and left; None: at the bottom edge, centred."""
    of: tuple[int, int] | None = None
    """The only size of frame that the window is meant for."""

    def apply(self, sample: Sample) -> Sample:
        """Cut image, depth, validity and ids, and move the camera along; nothing is resized.

        Raises:
            DataError: a frame that the window is not meant for, or depth of another size than its image.
        """
        frame = (int(sample.image.shape[-2]), int(sample.image.shape[-1]))
        (height, width), said = self.size, f"'{sample.id}' is {frame[1]}x{frame[0]} (width x height)"
        if self.of is not None and frame != self.of:
            raise DataError(f"{said}; {self.name} is for {self.of[1]}x{self.of[0]}, leave it out")
        if frame[0] < height or frame[1] < width:
            raise DataError(f"{said}; {self.name} takes {width}x{height} out of it, leave it out")
        if sample.depth is not None and tuple(sample.depth.shape[-2:]) != frame:
            other = f"{sample.depth.shape[-1]}x{sample.depth.shape[-2]}"
            raise DataError(f"{said} but its depth is {other}; {self.name} needs equal sizes, leave it out")
        top, left = (frame[0] - height, (frame[1] - width) // 2) if self.corner is None else self.corner

        def part(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[..., top : top + height, left : left + width].contiguous()

        camera = sample.intrinsics
        image = part(sample.image)
        assert image is not None
        return replace(
            sample, image=image, depth=part(sample.depth), valid=part(sample.valid), instances=part(sample.instances),
            intrinsics=None if camera is None else crop_camera(camera, top, left),
        )


KITTI_BENCHMARK = Cut(name="crop=kb", size=(352, 1216))
"""The benchmark crop of KITTI: what BTS, AdaBins and TIE-KD train on and evaluate."""
NYU_BORDER = Cut(name="crop=border", size=(427, 565), corner=(45, 43), of=(480, 640))
"""NYU Depth v2 without the frame that undistortion left white: what AdaBins and TIE-KD train on."""
