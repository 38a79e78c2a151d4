"""Some of the images of a source: those that a run trains on, or those that it holds out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kdcli.plugins.blame import own, owner_of
from kdcli.protocols import Source
from kdcli.sources.sized import sized
from kdcli.sources.table.view import View
from kdcli.types import Finding, Sample

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from kdcli.sources.pairs import Pair
    from kdcli.types import Batch, Geometry

_PASSED = ("seed", "size", "has_instances", "share")
"""Members of some sources that hold for a part of their images as well."""


class Subset:
    """The images of a source at some positions, in that order; ids and contents are the source's. Nothing is read."""

    def __init__(self, of: Source, indices: Iterable[int]) -> None:
        self.of = of
        self.indices = array("q", indices)
        self.name, self.depth_kind = of.name, of.depth_kind
        for key in _PASSED:
            if hasattr(of, key):
                setattr(self, key, getattr(of, key))
        plugin = owner_of(of)
        if plugin is not None:  # what goes wrong in here is that plugin's
            own(self, plugin)

    @property
    def pairs(self) -> Sequence[Pair]:
        """The files of the images; like the source itself, a subset has them only where it is one of files."""
        known: Any = self.of
        return View(known.pairs, self.indices)

    @property
    def geometry(self) -> Callable[[int], Geometry]:
        """What is known of an image's scene, by its position; a subset has it only where its source does."""
        known: Any = self.of
        told: Callable[[int], Geometry] = known.geometry
        return lambda index: told(self.indices[index])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Sample:
        return self.of[self.indices[index]]

    def sized(self, index: int, size: tuple[int, int]) -> Sample:
        """Return an item for training at (height, width)."""
        return sized(self.of, self.indices[index], size)

    def places(self, indices: Iterable[int] | Tensor) -> list[int]:
        """Return the positions in the whole source of positions in this one."""
        return [self.indices[int(index)] for index in indices]

    def part_of(self, index: int) -> int:
        """Return which part of a mix of sources an image is of; like ``share`` it is for such a mix alone."""
        part: int = self.of.part_of(self.indices[index])  # type: ignore[attr-defined]
        return part

    def check(self) -> Sequence[Finding]:
        """Say what is missing or broken in the whole source."""
        return self.of.check()


class RenderedSubset(Subset):
    """Of a source that makes whole batches on the device."""

    def batch(
        self, indices: Sequence[int] | Tensor, size: tuple[int, int] | None = None,
        device: torch.device | str = "cpu",
    ) -> Batch:
        """Make a batch of the images at these positions; size is (height, width), or None for the source's own."""
        made: Batch = self.of.batch(self.places(indices), size, device)  # type: ignore[attr-defined]
        return made


def subset(of: Source, indices: Iterable[int]) -> Subset:
    """Return the images of a source at some positions; it makes whole batches where the source does."""
    return (RenderedSubset if hasattr(of, "batch") else Subset)(of, indices)
