"""Batches by step: which images a step sees is a function of (seed, step), so a run can go on at any step.

Simulated sources render on the device, in part from a cache of what was rendered before; file sources are decoded by
worker processes and copied to the device once, or kept from one round to the next where the stage wants that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from kdcli.errors import DataError
from kdcli.plugins.blame import blame
from kdcli.protocols import Source
from kdcli.sources.parts import has_depth
from kdcli.training.batches.ahead import copier
from kdcli.training.batches.decoding import decoded, items
from kdcli.training.batches.joining import as_batch, collate, resize_batch
from kdcli.training.batches.kept_images import KeptImages, unpacked
from kdcli.training.batches.order import ENDLESS, Order, order_of
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.batches.room import workers_for
from kdcli.types import Batch

if TYPE_CHECKING:
    from kdcli.training.batches.memory_maps import MemoryMaps
    from kdcli.training.batches.taught import Taught


class Batches(Protocol):
    """What training asks of its batches."""

    order: Order
    device: torch.device

    @property
    def steps_per_epoch(self) -> int:
        """Batches that show every image about once."""

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start..stop-1, on the device."""


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
        workers: int | Literal["auto"] = 0,
        cache: RenderCache | None = None,
        taught: Taught | MemoryMaps | None = None,
        kept: KeptImages | None = None,
        order: Order | None = None,
        reduce: bool = False,
    ) -> None:
        """taught: what teachers are known to say. kept: decoded images that stay; None = each is decoded every time.

        order: of the images; None = each once an epoch, by the seed, and of a mix of sources each in its share. reduce:
        whether images of files may be decoded smaller than they are.
        """
        if len(source) == 0:
            raise DataError(f"'{source.name}' has no images; check it with: kdcli data check")
        self.source, self.size, self.device, self.cache = source, size, device, cache
        self.batch_size = batch_size
        self.order = order or order_of(source, batch_size, seed)
        self._workers, self._taught, self._kept, self._reduce = workers, taught, kept, reduce

    @property
    def steps_per_epoch(self) -> int:
        """Batches that show every image about once."""
        return max(len(self.source) // self.batch_size, 1)

    def indices(self, step: int) -> list[int]:
        """Return the image indices of a step."""
        return self.order.indices(step)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start..stop-1, on the device."""
        return self.batches_of(map(self.indices, range(start, stop)), (stop - start) * self.batch_size)

    def batches_of(self, chosen: Iterable[Sequence[int]], images: int | None = None) -> Iterator[Batch]:
        """Yield the batches of lists of image indices, on the device, with what teachers are known to say of them.

        The lists are taken one after the other, no further ahead than processes read. images: how many these are in
        all; None = they are counted.
        """
        if images is None:
            chosen = list(chosen)
            images = sum(map(len, chosen))
        if hasattr(self.source, "batch"):
            for indices in chosen:
                batch = self.rendered(indices)
                yield batch if self._taught is None else self._taught.complete(batch, indices, self.source)
            return
        if self._kept is not None:
            yield from self._from_memory(iter(chosen), images, self._kept)
            return
        coming: deque[Sequence[int]] = deque()
        copied = copier(self.device)
        for batch in decoded(self.source, _noted(chosen, coming), self.size, **self._how(images)):
            indices = coming.popleft()
            whole = batch if self._taught is None else self._taught.complete(batch, indices, self.source)
            yield self._marked(copied(whole))

    def _from_memory(self, chosen: Iterator[Sequence[int]], images: int, memory: KeptImages) -> Iterator[Batch]:
        """Yield batches of which only those images are decoded that were not before."""
        reader = getattr(self._taught, "reader", None)
        maps = 0 if reader is None else len(reader.stores)
        kept = memory.of(self.source, self.size, reader, maps, reduce=self._reduce)
        known, coming = set(kept.items), deque[tuple[Sequence[int], list[int]]]()
        left = len(self.source) - len(known)

        def lacking() -> Iterator[list[int]]:
            # Ends with the last image that is to be kept, and with it the workers.
            while not kept.whole or len(known) < len(self.source):
                if (indices := next(chosen, None)) is None:
                    return
                wanted = [i for i in dict.fromkeys(indices) if not kept.whole or i not in known]
                known.update(wanted)
                coming.append((indices, wanted))
                yield wanted

        for found in items(self.source, lacking(), self.size, **self._how(min(images, left) if kept.whole else images)):
            indices, wanted = coming.popleft()
            fresh = {i: self._with_maps(i, item) for i, item in zip(wanted, found, strict=True)}
            kept.keep(fresh)
            yield self._joined(indices, kept.items if kept.whole else fresh)
        for indices in chosen:
            yield self._joined(indices, kept.items)

    def _joined(self, indices: Sequence[int], known: Mapping[int, Batch]) -> Batch:
        batch = unpacked(collate([known[index] for index in indices]).to(self.device))
        if self._taught is not None and batch.taught is None:
            batch = self._taught.complete(batch, indices, self.source)
        return self._marked(batch)

    def _marked(self, batch: Batch) -> Batch:
        """Return a batch with an empty map of depth where its source has depth for other images only."""
        if batch.depth is not None or not has_depth(self.source):
            return batch
        depth = batch.image.new_zeros(len(batch), 1, *batch.image.shape[-2:])
        labelled = torch.zeros(len(batch), dtype=torch.bool, device=self.device)
        return replace(batch, depth=depth, valid=torch.zeros_like(depth, dtype=torch.bool), labelled=labelled)

    def _with_maps(self, index: int, item: Batch) -> Batch:
        """Return an item with maps that its file of the teacher cache lacked, asked of the image before rounding."""
        if self._taught is None or item.taught is None or not bool(item.taught.isnan().any()):
            return item
        with blame(self.source, f"item {index}"):
            exact = resize_batch(as_batch(self.source[index]), self.size)
        whole = self._taught.complete(replace(exact, taught=item.taught), [index], self.source)
        return replace(item, taught=whole.taught)

    def _how(self, images: int) -> dict[str, Any]:
        workers, most = workers_for(self._workers, images, self.device) if images else 0, self.order.most_workers
        return {
            "device": self.device, "workers": workers if most is None else min(workers, most),
            "reader": getattr(self._taught, "reader", None), "reduce": self._reduce,
        }

    def rendered(self, indices: Sequence[int]) -> Batch:
        """Return images of a source that renders, on the device."""
        if self.cache is not None and len(self.source) < ENDLESS:
            return self.cache.batch(self.source, list(indices), self.size, self.device)
        with blame(self.source, "batch"):
            batch: Batch = self.source.batch(list(indices), self.size, self.device)  # type: ignore[attr-defined]
        return batch


def _noted(chosen: Iterable[Sequence[int]], coming: deque[Sequence[int]]) -> Iterator[Sequence[int]]:
    """Yield lists of indices and note them for whoever takes their batches, which come in the same order."""
    for indices in chosen:
        coming.append(indices)
        yield indices
