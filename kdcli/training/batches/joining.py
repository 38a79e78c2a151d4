"""From samples to batches: one size, one tensor for each field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from kdcli.cameras import resize_camera
from kdcli.types import Batch, Sample


def resize_batch(batch: Batch, size: tuple[int, int]) -> Batch:
    """Bring a batch to H x W: images smoothly, depth, masks and ids by nearest neighbour, intrinsics along."""
    height, width = batch.image.shape[-2:]
    if (height, width) == size:
        return batch
    image = F.interpolate(batch.image, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    instances = batch.instances
    return replace(
        batch,
        image=image,
        depth=_nearest(batch.depth, size),
        valid=_nearest(batch.valid, size),
        instances=None if instances is None else _nearest(instances[:, None], size)[:, 0],  # type: ignore[index]
        intrinsics=None if batch.intrinsics is None else resize_camera(batch.intrinsics, (height, width), size),
    )


def collate(samples: Sequence[Batch]) -> Batch:
    """Join batches of one image each; what not all of them have is left out, except depth, which is then marked."""
    first = samples[0]
    depth = valid = labelled = None
    if any(sample.depth is not None for sample in samples):
        shape = first.image.shape[-2:]
        blank = torch.zeros(1, 1, *shape)
        depth = torch.cat([blank if s.depth is None else s.depth for s in samples])
        valid = torch.cat(
            [
                torch.zeros_like(blank, dtype=torch.bool)
                if s.depth is None
                else torch.ones_like(s.depth, dtype=torch.bool)
                if s.valid is None
                else s.valid
                for s in samples
            ]
        )
        labelled = torch.tensor([s.depth is not None for s in samples])

    def joined(name: str) -> Tensor | None:
        parts = [getattr(s, name) for s in samples]
        return None if any(part is None for part in parts) else torch.cat(parts)

    return Batch(
        ids=tuple(s.ids[0] for s in samples),
        image=torch.cat([s.image for s in samples]),
        depth=depth,
        valid=valid,
        labelled=labelled,
        instances=joined("instances"),
        intrinsics=joined("intrinsics"),
        taught=joined("taught"),
    )


def as_batch(sample: Sample) -> Batch:
    """Return a sample as a batch of one; its depth is brought to the image's size by nearest neighbour."""
    size = (int(sample.image.shape[-2]), int(sample.image.shape[-1]))
    return Batch(
        ids=(sample.id,),
        image=sample.image[None],
        depth=None if sample.depth is None else _nearest(sample.depth[None], size),
        valid=None if sample.valid is None else _nearest(sample.valid[None], size),
        instances=None if sample.instances is None else sample.instances[None],
        intrinsics=None if sample.intrinsics is None else sample.intrinsics[None],
    )


def _nearest(tensor: Tensor | None, size: tuple[int, int]) -> Tensor | None:
    if tensor is None or tuple(tensor.shape[-2:]) == size:
        return tensor
    return F.interpolate(tensor.double(), size=size, mode="nearest-exact").to(tensor.dtype)
