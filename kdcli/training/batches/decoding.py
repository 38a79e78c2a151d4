"""Files to images of the training size: in this process, or in workers that send errors as one line."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kdcli.errors import KdcliError
from kdcli.plugins.blame import blame, owner_of
from kdcli.protocols import Source
from kdcli.sources.sized import sized
from kdcli.training.batches.joining import as_batch, collate, resize_batch
from kdcli.training.batches.kept_images import own_memory, packed
from kdcli.training.batches.trouble import Trouble, delivered, first_trouble
from kdcli.types import Batch, Sample
from kdcli.workers import begin_worker, check_sockets

PREFETCHED = 2
"""Batches that each process is given ahead."""

Reader = Callable[[Sample], Tensor]
"""Gives what teachers are known to say of a sample, T x H x W."""


def decoded(
    source: Source, chosen: Iterable[Sequence[int]], size: tuple[int, int], *, device: torch.device,
    workers: int = 0, reader: Reader | None = None, reduce: bool = False,
) -> Iterator[Batch]:
    """Yield a batch for each list of indices, on the CPU. reduce: images may be decoded smaller than they are."""
    return delivered(_loader(_Sized(source, size, reader, reduce), chosen, _collate, workers, device), source)


def items(
    source: Source, chosen: Iterable[Sequence[int]], size: tuple[int, int], *, device: torch.device,
    workers: int = 0, reader: Reader | None = None, reduce: bool = False,
) -> Generator[list[Batch]]:
    """Yield packed batches of one image each for each list of indices, in this process's own memory."""
    for found in delivered(_loader(_Packed(source, size, reader, reduce), chosen, _listed, workers, device), source):
        yield [own_memory(item) for item in found]


def _loader(
    images: _Sized, chosen: Iterable[Sequence[int]], join: Callable[[Any], Any], workers: int, device: torch.device
) -> DataLoader[Any]:
    """Return what reads lists of indices as they come: one ahead of each item, ``PREFETCHED`` for each process."""
    check_sockets(workers)
    return DataLoader(
        images,
        batch_sampler=(list(indices) for indices in chosen),
        num_workers=workers,
        prefetch_factor=PREFETCHED if workers else None,
        collate_fn=join,
        worker_init_fn=begin_worker,
        pin_memory=device.type == "cuda",
    )


def _collate(samples: Sequence[Batch | Trouble]) -> Batch | Trouble:
    """Join the items of a batch, or pass on the first error among them."""
    return first_trouble(samples) or collate(samples)  # type: ignore[arg-type]


def _listed(samples: Sequence[Batch | Trouble]) -> Sequence[Batch | Trouble] | Trouble:
    """Leave the items of a batch apart, or pass on the first error among them."""
    return first_trouble(samples) or samples


class _Sized(Dataset[Batch | Trouble]):
    """A source's items as batches of one at the training size, for worker processes."""

    def __init__(
        self, source: Source, size: tuple[int, int], reader: Callable[[Sample], Tensor] | None = None,
        reduce: bool = False,
    ) -> None:
        self._source, self._size, self._reader = source, size, reader
        # What is known of an image is found by all of its pixels.
        self._reduce = reduce and reader is None
        self._owner = owner_of(source)  # a process that is not forked has another source, made from this one's parts

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Batch | Trouble:
        try:
            with blame(self._owner, f"item {index}"):
                sample = sized(self._source, index, self._size) if self._reduce else self._source[index]
                batch = resize_batch(as_batch(sample), self._size)
            return batch if self._reader is None else replace(batch, taught=self._reader(sample)[None])
        except KdcliError as error:
            return Trouble(error)


class _Packed(_Sized):
    """The same, 8 bits a channel."""

    def __getitem__(self, index: int) -> Batch | Trouble:
        item = super().__getitem__(index)
        return item if isinstance(item, Trouble) else packed(item)
