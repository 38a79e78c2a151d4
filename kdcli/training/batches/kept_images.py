"""What was decoded from files, kept at the size of training for the next time that it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kdcli.protocols import Source
from kdcli.training.batches.room import room
from kdcli.types import Batch


@dataclass(kw_only=True)
class KeptSet:
    """The images of one source at one size; ``whole``: all of them fit, and stay."""

    source: Source
    reader: object
    """Both are held, so that their identities stay their own."""
    whole: bool
    items: dict[int, Batch] = field(default_factory=dict)

    def keep(self, fresh: Mapping[int, Batch]) -> None:
        """Keep what was decoded, if all images fit."""
        if self.whole:
            self.items.update(fresh)


class KeptImages:
    """Keeps sources of files in main memory, 8 bits a channel, each only if all of it fits.

    An image comes out the same whether it is kept or decoded anew: it is rounded to 8 bits in any case. So what a step
    sees depends neither on the machine's memory nor on where a run was interrupted.
    """

    def __init__(self, limit: int | None = None) -> None:
        """limit: bytes; None = a share of what this process may use."""
        self._limit, self._promised = limit, 0
        self._sets: dict[tuple[int, tuple[int, int], object, bool], KeptSet] = {}

    def of(
        self, source: Source, size: tuple[int, int], reader: object = None, maps: int = 0, *, reduce: bool = False
    ) -> KeptSet:
        """Return the images of a source at H x W.

        reader: what reads as many ``maps`` of teachers along with each image, if anything does. reduce: whether they
        are decoded smaller than they are, which gives slightly other ones.
        """
        key = (id(source), size, None if reader is None else id(reader), reduce)
        if key not in self._sets:
            limit = room() if self._limit is None else self._limit
            wanted = len(source) * bytes_for(source, size, maps)
            whole = self._promised + wanted <= limit
            self._promised += wanted if whole else 0
            self._sets[key] = KeptSet(source=source, reader=reader, whole=whole)
        return self._sets[key]


def bytes_for(source: Source, size: tuple[int, int], maps: int = 0) -> int:
    """Return how many bytes an image of a source takes with what belongs to it."""
    depth = 0 if source.depth_kind is None else 5
    ids = 4 if getattr(source, "has_instances", False) else 0
    return size[0] * size[1] * (3 + depth + ids + 4 * maps)


def packed(batch: Batch) -> Batch:
    """Return a batch as it is kept and sent: the image in 8 bits, ids in as many bytes as they need."""
    ids = batch.instances
    if ids is not None and ids.numel():
        low, high = (int(end) for end in torch.aminmax(ids))
        kind = next((k for k in (torch.int16, torch.int32) if low >= torch.iinfo(k).min and high <= torch.iinfo(k).max),
                    torch.int64)  # fmt: skip
        ids = ids.to(kind)
    return replace(batch, image=(batch.image * 255).round().to(torch.uint8), instances=ids)


def unpacked(batch: Batch) -> Batch:
    """Return a packed batch as networks see it, on its device."""
    ids = batch.instances
    return replace(batch, image=batch.image.float() / 255, instances=None if ids is None else ids.long())


def own_memory(item: Batch) -> Batch:
    """Return an item in memory of this process: what workers share holds a file descriptor for each tensor."""
    return item.map_tensors(_own)


def _own(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.is_shared() else tensor  # type: ignore[no-untyped-call]
