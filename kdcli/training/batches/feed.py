"""Batches by step: which images a step sees is a function of (seed, step), so a run can go on at any step.

Simulated sources render on the device, in part from a cache of what was rendered before; file sources are decoded by
worker processes and copied to the device once.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from kdcli import interrupts
from kdcli.errors import DataError, KdcliError
from kdcli.plugins.blame import blame, owner_of
from kdcli.protocols import Source
from kdcli.training.batches.order import ENDLESS, EvenOrder, Order
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.batches.trouble import Trouble, delivered, first_trouble
from kdcli.types import Batch, Sample

if TYPE_CHECKING:
    from kdcli.training.batches.taught import Taught

class Feed:
    """Batches of one source at one size for one stage."""

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        size: tuple[int, int],
        seed: int,
        device: torch.device,
        workers: int = 0,
        cache: RenderCache | None = None,
        taught: Taught | None = None,
        order: Order | None = None,
    ) -> None:
        """order: of the images; None = each once an epoch, by the seed."""
        if len(source) == 0:
            raise DataError(f"'{source.name}' has no images; check it with: kdcli data check")
        self.source, self.size, self.device, self.cache = source, size, device, cache
        self.batch_size = batch_size
        self.order = order or EvenOrder(len(source), batch_size, seed)
        most = self.order.most_workers
        self._workers, self._taught = workers if most is None else min(workers, most), taught

    @property
    def steps_per_epoch(self) -> int:
        """Batches that show every image about once."""
        return max(len(self.source) // self.batch_size, 1)

    def indices(self, step: int) -> list[int]:
        """Return the image indices of a step."""
        return self.order.indices(step)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start..stop-1, on the device."""
        return self.batches_of(self.indices(step) for step in range(start, stop))

    def batches_of(self, chosen: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """Yield the batches of lists of image indices, on the device, with what teachers are known to say of them.

        The lists are asked for one after the other, no more of them ahead than processes read.
        """
        if hasattr(self.source, "batch"):
            for indices in chosen:
                batch = self.rendered(indices)
                yield batch if self._taught is None else self._taught.complete(batch, indices, self.source)
            return
        coming: deque[list[int]] = deque()
        loader: DataLoader[Any] = DataLoader(
            _Sized(self.source, self.size, None if self._taught is None else self._taught.reader),
            batch_sampler=_noted(chosen, coming),
            num_workers=self._workers,
            collate_fn=_collate,
            worker_init_fn=_leave_signals,
            pin_memory=self.device.type == "cuda",
        )
        for batch in delivered(loader, self.source):
            indices = coming.popleft()
            whole = batch if self._taught is None else self._taught.complete(batch, indices, self.source)
            yield whole.to(self.device)

    def rendered(self, indices: Sequence[int]) -> Batch:
        """Return images of a source that renders, on the device."""
        if self.cache is not None and len(self.source) < ENDLESS:
            return self.cache.batch(self.source, list(indices), self.size, self.device)
        with blame(self.source, "batch"):
            batch: Batch = self.source.batch(list(indices), self.size, self.device)  # type: ignore[attr-defined]
        return batch


def _noted(chosen: Iterable[Sequence[int]], coming: deque[list[int]]) -> Iterator[list[int]]:
    """Yield lists of indices and note them for whoever takes their batches, which come in the same order."""
    for indices in chosen:
        coming.append(list(indices))
        yield coming[-1]


def _leave_signals(worker: int) -> None:
    """Let the main process answer signals, which may reach the whole group; workers end when it does."""
    for number in interrupts.requests():
        signal.signal(number, signal.SIG_IGN)


def resize_batch(batch: Batch, size: tuple[int, int]) -> Batch:
    """Bring a batch to H x W: images smoothly, depth, masks and ids by nearest neighbour, intrinsics along."""
    height, width = batch.image.shape[-2:]
    if (height, width) == size:
        return batch
    image = F.interpolate(batch.image, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    scale = batch.image.new_tensor([size[1] / width, size[0] / height, size[1] / width, size[0] / height])
    instances = batch.instances
    return replace(
        batch,
        image=image,
        depth=_nearest(batch.depth, size),
        valid=_nearest(batch.valid, size),
        instances=None if instances is None else _nearest(instances[:, None], size)[:, 0],  # type: ignore[index]
        intrinsics=None if batch.intrinsics is None else batch.intrinsics * scale,
    )


def _collate(samples: Sequence[Batch | Trouble]) -> Batch | Trouble:
    """Join the items of a batch, or pass on the first error among them."""
    return first_trouble(samples) or collate(samples)  # type: ignore[arg-type]


def collate(samples: Sequence[Batch]) -> Batch:
    """Join batches of one image each; what not all of them have is left out, except depth, which is then marked."""
    first = samples[0]
    depth = valid = labelled = None
    if any(sample.depth is not None for sample in samples):
        shape = first.image.shape[-2:]
        blank = first.image.new_zeros(1, 1, *shape)
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


class _Sized(Dataset[Batch | Trouble]):
    """A source's items as batches of one at the training size, for worker processes."""

    def __init__(self, source: Source, size: tuple[int, int], reader: Callable[[Sample], Tensor] | None = None) -> None:
        self._source, self._size, self._reader = source, size, reader
        self._owner = owner_of(source)  # a process that is not forked has another source, made from this one's parts

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Batch | Trouble:
        try:
            with blame(self._owner, f"item {index}"):
                sample = self._source[index]
                batch = resize_batch(as_batch(sample), self._size)
            return batch if self._reader is None else replace(batch, taught=self._reader(sample)[None])
        except KdcliError as error:
            return Trouble(error)


def _nearest(tensor: Tensor | None, size: tuple[int, int]) -> Tensor | None:
    if tensor is None or tuple(tensor.shape[-2:]) == size:
        return tensor
    return F.interpolate(tensor.double(), size=size, mode="nearest-exact").to(tensor.dtype)
