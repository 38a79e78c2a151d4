"""What teachers say of images, kept in main memory: each image is asked about once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.cache import final_depth, halved
from kdcli.protocols import Source
from kdcli.types import Batch

MEMORY = "memory"
"""Value of ``teacher_cache``, and what stands for a folder in manifests."""


@dataclass(kw_only=True)
class MemoryMaps:
    """The maps of a stage's teachers by image. They are of the images as the stage shows them, before augmentation."""

    teachers: Mapping[str, nn.Module]
    flips: tuple[bool, ...]
    """Of each teacher: whether its maps are averaged with those of the mirrored images."""
    size: tuple[int, int] | None
    """None = that of the only teacher's own maps, where nothing cuts or turns them."""
    half: bool
    device: torch.device
    made: int = 0
    maps: dict[int, Tensor] = field(default_factory=dict)
    """T x H x W by index in the source."""

    def complete(self, batch: Batch, indices: Sequence[int], source: Source) -> Batch:
        """Return a batch with all of its maps, on its own device. Images as they are, before augmentation.

        Raises:
            DataError: a teacher gives no numbers, or some that half precision does not hold.
        """
        missing = [row for row, index in enumerate(indices) if index not in self.maps]
        if missing:
            asked = self.ask(batch.select(torch.tensor(missing, device=batch.image.device))).cpu()
            self.made += len(missing) * len(self.teachers)
            for row, grids in zip(missing, asked, strict=True):
                self.maps[indices[row]] = halved(grids, batch.ids[row]) if self.half else grids
        taught = torch.stack([self.maps[index] for index in indices])
        return replace(batch, taught=taught.to(batch.image.device).float())

    def ask(self, batch: Batch) -> Tensor:
        """Return what the teachers say of a batch, B x T x H x W, without keeping it.

        Raises:
            DataError: one gives no numbers.
        """
        image = batch.image.to(self.device)
        focal = None if batch.intrinsics is None else batch.intrinsics[:, 0].to(self.device)
        asked = zip(self.teachers.values(), self.flips, strict=True)
        return torch.stack(
            [final_depth(model, image, self.size, flip=flip, focal=focal, ids=batch.ids) for model, flip in asked], 1
        )

    def document(self) -> dict[str, Any]:
        """Return what a run's manifest says of them."""
        storage = "float16" if self.half else "float32"
        return {"folder": MEMORY, "layout": MEMORY, "storage": storage, "flip": list(self.flips)}
