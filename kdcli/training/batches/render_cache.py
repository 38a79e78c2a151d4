"""What a simulated source has rendered, kept for the next time that it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdcli.plugins.blame import blame
from kdcli.protocols import Source
from kdcli.sources.subset import Subset
from kdcli.types import Batch

CACHE_BYTES = 2 * 2**30


class RenderCache:
    """Keeps what a counted simulated source has rendered: 8-bit images, float depth, 16-bit ids, in main memory.

    Image, depth and instances come out the same whether rendered now or before: also a first use is rounded to 8 bit.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit, self._used = limit, 0
        self._kept: dict[tuple[str, tuple[int, int]], dict[int, tuple[str, dict[str, Tensor]]]] = {}

    def batch(self, source: Source, indices: Sequence[int], size: tuple[int, int], device: torch.device) -> Batch:
        """Return a batch, rendering only what is not kept yet."""
        part: object = source
        if isinstance(part, Subset):  # an image is kept once, whichever part of its source asks for it
            source, indices = part.of, part.places(indices)
        kept = self._kept.setdefault((repr(source_key(source)), size), {})
        missing = [i for i in dict.fromkeys(indices) if i not in kept]
        fresh: dict[int, tuple[str, dict[str, Tensor]]] = {}
        if missing:
            with blame(source, "batch"):
                rendered: Batch = source.batch(missing, size, device)  # type: ignore[attr-defined]
            packed = _pack(rendered)
            for position, index in enumerate(missing):
                fresh[index] = (rendered.ids[position], {name: value[position] for name, value in packed.items()})
                self._used += sum(value[position].nbytes for value in packed.values())
            if self._used <= self._limit:
                kept.update(fresh)
        items = [kept[i] if i in kept else fresh[i] for i in indices]
        there = [name for name in items[0][1] if all(name in item[1] for item in items)]
        stacked = {name: torch.stack([item[1][name] for item in items]).to(device) for name in there}
        return _unpack(tuple(item[0] for item in items), stacked)


def source_key(source: Source) -> tuple[object, ...]:
    """Return what tells two simulated sources apart: name and seed."""
    return (source.name, getattr(source, "seed", None))


def _pack(batch: Batch) -> dict[str, Tensor]:
    packed = {"image": (batch.image * 255).round().to(torch.uint8)}
    for name, kind in (("depth", None), ("valid", None), ("instances", torch.int16), ("intrinsics", None),
                       ("labelled", None)):
        value = getattr(batch, name)
        if value is not None:
            packed[name] = value if kind is None else value.to(kind)
    return {name: value.cpu() for name, value in packed.items()}


def _unpack(ids: tuple[str, ...], packed: dict[str, Tensor]) -> Batch:
    instances = packed.get("instances")
    depth, labelled = packed.get("depth"), packed.get("labelled")
    if depth is not None and labelled is None:
        labelled = torch.ones(len(ids), dtype=torch.bool, device=depth.device)
    return Batch(
        ids=ids,
        image=packed["image"].float() / 255,
        depth=depth,
        valid=packed.get("valid"),
        instances=None if instances is None else instances.long(),
        intrinsics=packed.get("intrinsics"),
        labelled=labelled,
    )
