"""What a model says of images that are not the batch's own, read as its authors read it."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from kdcli.maps import at_size, widen
from kdcli.types import Prediction, ReadOut


def read_at(
    model: nn.Module, prediction: Prediction, size: tuple[int, int], intrinsics: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return depth at h x w for the images' cameras and within the clip that the model declares, and where it is valid.

    As ``ctx.target()`` does it for the batch. intrinsics: B x 4 of these images, None where they are not known.
    """
    declared = getattr(model, "read_out", None)
    depth = widen(prediction.depth)
    if isinstance(declared, ReadOut):
        if declared.focal is not None and intrinsics is not None:
            depth = depth * (intrinsics[:, 0].to(depth) / declared.focal).view(-1, 1, 1, 1)
        if declared.clip is not None:
            depth = depth.clamp(*declared.clip)
    return at_size(replace(prediction, depth=depth), size)
