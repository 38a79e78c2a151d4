"""Batches by step: which images a step sees is a function of (seed, step), so a run can go on at any step.

Simulated sources render on the device, in part from a cache of what was rendered before; file sources are decoded by
worker processes and copied to the device once, or kept from one round to the next where the stage wants that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from kdcli.errors import DataError
from kdcli.plugins.blame import blame
from kdcli.protocols import Source
from kdcli.training.batches.decoding import decoded, items
from kdcli.training.batches.joining import as_batch, collate, resize_batch
from kdcli.training.batches.kept_images import KeptImages, unpacked
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.seeds import seed_of
from kdcli.types import Batch

if TYPE_CHECKING:
    from kdcli.training.batches.memory_maps import MemoryMaps
    from kdcli.training.batches.taught import Taught

ENDLESS = 2**31 - 1
"""Length from which a source counts as endless: no epoch, no permutation, no cache."""


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
    ) -> None:
        """taught: what teachers are known to say. kept: decoded images that stay; None = each is decoded every time."""
        if len(source) == 0:
            raise DataError(f"'{source.name}' has no images; check it with: kdcli data check")
        self.source, self.size, self.device, self.cache = source, size, device, cache
        self.batch_size = batch_size
        self._seed, self._workers, self._taught, self._kept = seed, workers, taught, kept
        self._order: tuple[int, list[int]] = (-1, [])

    @property
    def steps_per_epoch(self) -> int:
        """Batches that show every image about once."""
        return max(len(self.source) // self.batch_size, 1)

    def indices(self, step: int) -> list[int]:
        """Return the image indices of a step."""
        count, size = len(self.source), self.batch_size
        if count >= ENDLESS:
            return list(range(step * size, (step + 1) * size))
        first = (step % self.steps_per_epoch) * size
        order = self._permutation(step // self.steps_per_epoch)
        return [order[(first + i) % count] for i in range(size)]

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start..stop-1, on the device."""
        return self.batches_of([self.indices(step) for step in range(start, stop)])

    def batches_of(self, chosen: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """Yield the batches of lists of image indices, on the device, with what teachers are known to say of them."""
        if hasattr(self.source, "batch"):
            for indices in chosen:
                batch = self.rendered(indices)
                yield batch if self._taught is None else self._taught.complete(batch, indices, self.source)
            return
        if self._kept is not None:
            yield from self._from_memory(chosen, self._kept)
            return
        for indices, batch in zip(chosen, decoded(self.source, chosen, self.size, **self._how), strict=True):
            whole = batch if self._taught is None else self._taught.complete(batch, indices, self.source)
            yield whole.to(self.device)

    def _from_memory(self, chosen: Sequence[Sequence[int]], images: KeptImages) -> Iterator[Batch]:
        """Yield batches of which only those images are decoded that were not before."""
        reader = self._how["reader"]
        kept = images.of(self.source, self.size, reader, 0 if reader is None else len(reader.stores))
        coming = kept.missing(chosen)
        wanted = [lacking for lacking in coming if lacking]
        found, left = items(self.source, wanted, self.size, **self._how), len(wanted)
        for indices, lacking in zip(chosen, coming, strict=True):
            fresh = dict(zip(lacking, next(found), strict=True)) if lacking else {}
            left -= bool(lacking)
            if not left:
                found.close()  # and with it the workers
            fresh = {index: self._with_maps(index, item) for index, item in fresh.items()}
            kept.keep(fresh)
            joined = collate([fresh[index] if index in fresh else kept.items[index] for index in indices])
            batch = unpacked(joined.to(self.device))
            if self._taught is not None and batch.taught is None:
                batch = self._taught.complete(batch, indices, self.source)
            yield batch

    def _with_maps(self, index: int, item: Batch) -> Batch:
        """Return an item with maps that its file of the teacher cache lacked, asked of the image before rounding."""
        if self._taught is None or item.taught is None or not bool(item.taught.isnan().any()):
            return item
        with blame(self.source, f"item {index}"):
            exact = resize_batch(as_batch(self.source[index]), self.size)
        whole = self._taught.complete(replace(exact, taught=item.taught), [index], self.source)
        return replace(item, taught=whole.taught)

    @property
    def _how(self) -> dict[str, Any]:
        reader = getattr(self._taught, "reader", None)
        return {"device": self.device, "workers": self._workers, "reader": reader}

    def rendered(self, indices: Sequence[int]) -> Batch:
        """Return images of a source that renders, on the device."""
        if self.cache is not None and len(self.source) < ENDLESS:
            return self.cache.batch(self.source, list(indices), self.size, self.device)
        with blame(self.source, "batch"):
            batch: Batch = self.source.batch(list(indices), self.size, self.device)  # type: ignore[attr-defined]
        return batch

    def _permutation(self, epoch: int) -> list[int]:
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(seed_of(self._seed, "order", epoch))
            self._order = (epoch, torch.randperm(len(self.source), generator=generator).tolist())
        return self._order[1]
