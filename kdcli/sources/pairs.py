"""What every source of files shares: pairs of paths, which of them to use, and what is known of them as files."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kdcli.codecs import BY_TYPE, Codec
from kdcli.errors import ConfigError
from kdcli.images import Rig
from kdcli.rasters import Place, file_of
from kdcli.types import Finding

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One item on disk. scale: stored depth units per metre, None = as the encoding says. focal: pixels.

    instances: file of object ids. mask: file that is 0 where the depth is no measurement. rig: what turns disparity
    into depth.
    """

    id: str
    image: Place
    depth: Place | None = None
    scale: float | None = None
    focal: float | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    instances: Place | None = None
    mask: Place | None = None
    rig: Rig | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files on disk that it is in."""
        places = (self.image, self.depth, self.instances, self.mask)
        return tuple(file_of(place) for place in places if place is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which items of the sorted list to use: ``start:stop:every``, then at most ``count``.

    With ``seed`` the ``count`` are drawn at random, else they are the first. Either way the order stays.
    """

    start: int = 0
    stop: int | None = None
    every: int = 1
    count: int | None = None
    seed: int | None = None

    def apply(self, items: Sequence[T], where: str) -> list[T]:
        """Return the chosen items.

        Raises:
            ConfigError: as ``positions``.
        """
        return [items[i] for i in self.positions(len(items), where)]

    def positions(self, length: int, where: str) -> Sequence[int]:
        """Return which of so many items are chosen.

        Raises:
            ConfigError: values that make no sense, or that leave nothing.
        """
        if self.every < 1:
            raise ConfigError(f"every={self.every} is not at least 1; every=2 takes each second item of '{where}'")
        if self.count is not None and self.count < 1:
            raise ConfigError(f"count={self.count} is not at least 1; leave count out to use all of '{where}'")
        chosen = range(length)[self.start : self.stop : self.every]
        if not chosen:
            stop = "" if self.stop is None else f",stop={self.stop}"
            raise ConfigError(f"start={self.start}{stop} leaves none of the {length} items of '{where}'; widen it")
        if self.count is not None and self.count < len(chosen):
            if self.seed is None:
                return chosen[: self.count]
            kept = sorted(random.Random(self.seed).sample(range(len(chosen)), self.count))
            return array("q", (chosen[i] for i in kept))
        return chosen


class OfFiles(ABC):
    """What can be known of a source of files without reading any: what ``data check`` asks."""

    pairs: Sequence[Pair]
    codec: Codec = BY_TYPE
    """How stored depth becomes metres."""
    usual_median: tuple[float, float] = (0.1, 200.0)
    """Metres between which the median depth of this kind of data is expected; outside ``check()`` says so."""

    @abstractmethod
    def remarks(self) -> Sequence[Finding]:
        """Say what only this layout knows to be missing or broken; files of the pairs are looked at elsewhere."""

    @abstractmethod
    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return fx, fy, cx, cy in pixels of an image of this size, or None where unknown."""

    @abstractmethod
    def scale_of(self, pair: Pair) -> float | None:
        """Return the stored units per metre of a pair: the user's, else the layout's, else None (by file type)."""


def sizes_fit(image: tuple[int, int], depth: tuple[int, int]) -> bool:
    """Whether a depth map of one (height, width) can belong to an image of another.

    Equal sizes do, and sizes that differ by a clear factor (1.25 or more) at the same shape: within one percent, or
    within the rounding of one pixel. Nearly equal sizes do not: that is another frame or another crop.
    """
    if image == depth:
        return True
    down, across = image[0] / depth[0], image[1] / depth[1]
    clear = min(down, across) >= 1.25 or max(down, across) <= 0.8
    rounded = abs(depth[0] - image[0] / across) < 1 or abs(depth[1] - image[1] / down) < 1
    return clear and (rounded or abs(down / across - 1) <= 0.01)


def mismatch(pair: Pair, image: tuple[int, int], depth: tuple[int, int]) -> str:
    """Return the message for an image and a depth map (height, width each) that are not of one frame."""
    turned = image == depth[::-1]
    remedy = "one of them is turned by a quarter; turn it back" if turned else "pair each image with its own depth map"
    return (
        f"'{pair.image}' is {image[1]}x{image[0]} but its depth '{pair.depth}' is {depth[1]}x{depth[0]} "
        f"(width x height); {remedy}"
    )
