"""What teachers say of images, read from their caches: asked again, and kept, where an image is new or a map is bad."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from kdcli.cache import Shown, Store, final_depth, shown
from kdcli.errors import DataError
from kdcli.protocols import Source
from kdcli.types import Batch, Sample


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads the maps of an image, T x H x W; a map that is not there or not sound comes as not-a-number.

    For worker processes, which leave it to the main one to ask the teacher.
    """

    stores: tuple[Store, ...]
    size: tuple[int, int]

    def __call__(self, sample: Sample) -> Tensor:
        """Return the maps of a sample."""
        return self.read(shown_sample(sample))

    def read(self, image: Shown) -> Tensor:
        """Return the maps of an image."""
        maps = torch.full((len(self.stores), *self.size), torch.nan)
        for number, store in enumerate(self.stores):
            with contextlib.suppress(DataError):
                maps[number] = store.look(image)
        return maps


@dataclass(kw_only=True)
class Taught:
    """The caches of a stage's teachers, and the teachers to ask where they lack a map.

    Also counts: ``made`` maps asked for, ``read`` maps that were there.
    """

    reader: Reader
    teachers: Mapping[str, nn.Module]
    device: torch.device
    made: int = 0
    read: int = 0
    _rendered: dict[int, Shown] = field(default_factory=dict)

    def complete(self, batch: Batch, indices: Sequence[int], source: Source) -> Batch:
        """Return a batch with all of its maps, on its own device.

        indices: of its images in the source. Images as they are, before augmentation.

        Raises:
            DataError: a folder of somebody else lacks a map, or a teacher gives no numbers. OSError: the disk.
        """
        images: dict[int, Shown] = {}
        if batch.taught is None:  # rendered on the device
            images = dict(enumerate(self.recognise(batch, indices)))
            maps = torch.stack([self.reader.read(image) for image in images.values()])
        else:
            maps = batch.taught
        missing = maps[:, :, 0, 0].isnan()
        self.read += int((~missing).sum())
        rows = [row for row in range(len(batch)) if bool(missing[row].any())]
        for row in rows:
            if row not in images:
                images[row] = shown_sample(source[indices[row]])
        if rows:
            maps = maps.clone()
        for number, (teacher, store) in enumerate(zip(self.teachers.values(), self.reader.stores, strict=True)):
            asked = [row for row in rows if bool(missing[row, number])]
            if not store.writable:
                for row in asked:
                    store.look(images[row])  # says what is wrong with it
            if asked:
                self._ask(teacher, store, batch, asked, images)
                self.made += len(asked)
                for row in asked:
                    maps[row, number] = store.look(images[row])
        return replace(batch, taught=maps.to(batch.image.device))

    def ask(self, batch: Batch) -> Tensor:
        """Return what the teachers say of a batch, B x T x H x W, without keeping it.

        Raises:
            DataError: one gives no numbers.
        """
        focal = None if batch.intrinsics is None else batch.intrinsics[:, 0]
        asked = zip(self.teachers.values(), self.reader.stores, strict=True)
        return torch.stack(
            [final_depth(model, batch.image, store.key.size, flip=store.key.flip, focal=focal, ids=batch.ids)
             for model, store in asked], dim=1,
        )  # fmt: skip

    def recognise(self, batch: Batch, indices: Sequence[int]) -> list[Shown]:
        """Describe rendered images; an index always gives the same one."""
        for row, index in enumerate(indices):
            if index not in self._rendered:
                focal = None if batch.intrinsics is None else float(batch.intrinsics[row, 0])
                self._rendered[index] = shown(batch.ids[row], batch.image[row], focal)
        return [self._rendered[index] for index in indices]

    def _ask(
        self, teacher: nn.Module, store: Store, batch: Batch, rows: Sequence[int], images: Mapping[int, Shown]
    ) -> None:
        chosen = torch.tensor(rows, device=batch.image.device)
        image = batch.image[chosen].to(self.device)
        focal = None if batch.intrinsics is None else batch.intrinsics[chosen, 0].to(self.device)
        maps = final_depth(
            teacher, image, self.reader.size, flip=store.key.flip, focal=focal, ids=[batch.ids[row] for row in rows]
        ).cpu()
        for row, grid in zip(rows, maps, strict=True):
            store.write(images[row], grid)


def shown_sample(sample: Sample) -> Shown:
    """Describe the image of a sample at the source's own size."""
    focal = None if sample.intrinsics is None else float(sample.intrinsics[0])
    return shown(sample.id, sample.image, focal)
