"""What every source of files shares: pairs of paths, which of them to use, and reading one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor

from kdcli.errors import ConfigError, DataError
from kdcli.images import like, read_picture, read_stored
from kdcli.sources.cuts import Cut
from kdcli.sources.instances import read_instances, resize_instances
from kdcli.sources.upright import camera_of, turned_note
from kdcli.types import DepthKind, Finding, Sample

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One item on disk. scale: stored depth units per metre, None = by the file's type. focal: pixels.

    instances: file of object ids.
    """

    id: str
    image: Path
    depth: Path | None = None
    scale: float | None = None
    focal: float | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    instances: Path | None = None


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
            ConfigError: values that make no sense, or that leave nothing.
        """
        if self.every < 1:
            raise ConfigError(f"every={self.every} is not at least 1; every=2 takes each second item of '{where}'")
        if self.count is not None and self.count < 1:
            raise ConfigError(f"count={self.count} is not at least 1; leave count out to use all of '{where}'")
        chosen = list(items[self.start : self.stop : self.every])
        if not chosen:
            stop = "" if self.stop is None else f",stop={self.stop}"
            raise ConfigError(f"start={self.start}{stop} leaves none of the {len(items)} items of '{where}'; widen it")
        if self.count is not None and self.count < len(chosen):
            if self.seed is None:
                return chosen[: self.count]
            kept = sorted(random.Random(self.seed).sample(range(len(chosen)), self.count))
            return [chosen[i] for i in kept]
        return chosen


class PairSource:
    """A source of image files with or without files of depth and of object ids. Subclasses find the pairs.

    Where some images have object ids, those without have none but 0, so that a batch of both keeps its objects.
    """

    name: str = "files"
    usual_median: tuple[float, float] = (0.1, 200.0)
    """Metres between which the median depth of this kind of data is expected; outside ``check()`` says so."""

    void: int | None = None
    """An id that means no object, beside 0."""

    cut: Cut | None = None
    """The part of every frame that is used; None = all of it."""

    def __init__(self, pairs: Sequence[Pair], *, selection: Selection | None, scale: float | None, where: str) -> None:
        """Take what a selection leaves of the pairs, or with None the pairs as they are."""
        if scale is not None and not scale > 0:
            raise ConfigError(f"scale={scale:g} is not above 0; it is the stored units per metre, such as 1000")
        self.pairs: Sequence[Pair] = pairs if selection is None else selection.apply(pairs, where)
        self.where = where
        self.scale = scale
        self.depth_kind: DepthKind | None = DepthKind.METRIC if self.has("depth") else None
        self.has_instances = self.has("instances")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int, /) -> Sample:
        """Read one item.

        Raises:
            DataError: a file is missing or broken, or image, depth and object ids do not fit together.
        """
        pair = self.pairs[index]
        picture = read_picture(pair.image)
        image, turned = picture.image, picture.turned
        height, width = image.shape[-2:]
        depth = valid = None
        if pair.depth is not None:
            stored = read_stored(pair.depth)
            depth, valid = stored.metres(self.scale_of(pair))
            if stored.turned == 1:  # else its own metadata turned it
                depth, valid = (like(one, turned, (height, width)) for one in (depth, valid))
            if not sizes_fit((height, width), (depth.shape[-2], depth.shape[-1])):
                own = (depth.shape[-2], depth.shape[-1])
                raise DataError(mismatch(pair, (height, width), own) + turned_note(turned))
            depth = self.axial(depth)
        instances = self.instances(pair)
        if instances is not None:
            instances = like(instances, turned, (height, width))
            if not sizes_fit((height, width), (instances.shape[0], instances.shape[1])):
                size = f"{instances.shape[1]}x{instances.shape[0]}"
                raise DataError(
                    f"'{pair.image}' is {width}x{height} but its object ids{_of(pair.instances)} are {size} "
                    "(width x height); give ids of the same frame"
                )
            instances = resize_instances(instances, (height, width))
        elif self.has_instances:
            instances = torch.zeros(height, width, dtype=torch.int64)
        camera = camera_of(self, pair, picture, None if pair.depth is None else stored)
        intrinsics = None if camera is None else torch.tensor(camera, dtype=torch.float32)
        sample = Sample(
            id=pair.id, image=image, depth=depth, valid=valid, instances=instances, intrinsics=intrinsics,
        )
        return sample if self.cut is None else self.cut.apply(sample)

    def has(self, part: Literal["depth", "instances"]) -> bool:
        """Whether any of the pairs names a file of this part."""
        return any(getattr(pair, part) is not None for pair in self.pairs)

    def instances(self, pair: Pair) -> Tensor | None:
        """Return the object ids of a pair, h x w int64, 0 = no object, or None where there are none."""
        return None if pair.instances is None else read_instances(pair.instances, void=self.void)

    def axial(self, depth: Tensor) -> Tensor:
        """Turn depth as it is stored, 1 x h x w metres, into depth along the optical axis."""
        return depth

    def remarks(self) -> Sequence[Finding]:
        """Say what only this layout knows to be missing or broken; files of the pairs are looked at elsewhere."""
        return ()

    def scale_of(self, pair: Pair) -> float | None:
        """Return the stored units per metre of a pair: the user's, else the layout's, else None (by file type)."""
        return self.scale if self.scale is not None else pair.scale

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return fx, fy, cx, cy in pixels of an image of this size, or None where unknown."""
        if pair.intrinsics is None and pair.focal is not None:
            return pair.focal, pair.focal, (width - 1) / 2, (height - 1) / 2
        return pair.intrinsics

    def check(self) -> Sequence[Finding]:
        """Say what is missing or broken, from all paths and an even sample of the contents."""
        from kdcli.sources.checks import survey

        return survey(self).findings


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


def _of(path: Path | None) -> str:
    return "" if path is None else f" '{path}'"


def mismatch(pair: Pair, image: tuple[int, int], depth: tuple[int, int]) -> str:
    """Return the message for an image and a depth map (height, width each) that are not of one frame."""
    return (
        f"'{pair.image}' is {image[1]}x{image[0]} but its depth '{pair.depth}' is {depth[1]}x{depth[0]} "
        "(width x height); pair each image with its own depth map"
    )
