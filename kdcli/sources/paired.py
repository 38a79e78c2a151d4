"""A source of files: reads the pairs that its layout found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from kdcli.cameras import resize_camera
from kdcli.errors import ConfigError, DataError
from kdcli.images import (
    SCALES,
    Picture,
    Rig,
    StoredDepth,
    image_size,
    like,
    read_picture,
    read_reduced,
    read_stored,
    refuse_other_numbers,
    to_metres,
    turn,
    turned_by,
)
from kdcli.sources.checks import survey
from kdcli.sources.cuts import Cut
from kdcli.sources.encoding import Encoding
from kdcli.sources.instances import read_instances, resize_instances
from kdcli.sources.pairs import OfFiles, Pair, Selection, mismatch, sizes_fit
from kdcli.sources.table.pair_table import PairTable, table_of
from kdcli.sources.table.view import View
from kdcli.sources.upright import camera_of, turned_note
from kdcli.sources.validity import read_mask
from kdcli.types import DepthKind, Finding, Sample


class PairSource(OfFiles):
    """A source of image files with or without files of depth and of object ids. Subclasses find the pairs.

    Where some images have object ids, those without have none but 0, so that a batch of both keeps its objects.
    """

    name: str = "files"
    void: int | None = None
    """An id that means no object, beside 0."""

    cut: Cut | None = None
    """The part of every frame that is used; None = all of it."""

    sky: Literal["none", "far"] = "none"
    """What an encoding's mark for sky is: no measurement, or the distance that it stands for."""

    furthest: float | None = None
    """Metres beyond which depth is no measurement; None = whatever is stored."""

    encoding: Encoding | None = None
    """What the user says of how depth is stored; None = the layout knows."""

    def __init__(
        self, pairs: Iterable[Pair], *, selection: Selection | None, scale: float | None, where: str,
        notes: Sequence[Finding] = (),
    ) -> None:
        """Take what a selection leaves of the pairs, or with None all of them.

        They are kept as a table unless they are a sequence of another kind, which is taken to make pairs when asked.
        notes: what ``data check`` shall say of how they were found.
        """
        if scale is not None and not SCALES[0] <= scale <= SCALES[1]:
            raise ConfigError(
                f"scale={scale:g} is no number of {SCALES[0]:g} to {SCALES[1]:g}; it is the stored units per metre, "
                "such as 1000"
            )
        self._scale_said = scale is not None
        if self.encoding is not None:
            self.codec, self.furthest = self.encoding.codec, self.encoding.furthest
            scale = self.encoding.scale(scale)
        self._notes = tuple(notes)
        whole = table_of(pairs) if isinstance(pairs, list | tuple) or not isinstance(pairs, Sequence) else pairs
        if selection is not None:
            chosen = selection.positions(len(whole), where)
            whole = whole.take(chosen) if isinstance(whole, PairTable) else View(whole, chosen)
        self.pairs: Sequence[Pair] = whole
        self.where = where
        self.scale = scale
        self.depth_kind: DepthKind | None = DepthKind.METRIC if self.has("depth") else None
        self.has_instances = self.has("instances")

    def keep(self, positions: Sequence[int], notes: Sequence[Finding] = ()) -> None:
        """Keep the images at these positions alone, in that order. notes: what ``data check`` shall say of it."""
        self.pairs, self._notes = View(self.pairs, positions), (*self._notes, *notes)
        self.depth_kind = DepthKind.METRIC if self.depth_kind is not None and self.has("depth") else None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int, /) -> Sample:
        """Read one item.

        Raises:
            DataError: a file is missing or broken, or image, depth and object ids do not fit together.
        """
        pair = self.pairs[index]
        sample = self._sample(pair, self.picture(pair))
        return sample if self.cut is None else self.cut.apply(sample)

    def sized(self, index: int, size: tuple[int, int]) -> Sample:
        """Read one item for training at (height, width): its image may be decoded at that size, its depth is whole.

        Raises:
            DataError: as reading it whole.
        """
        own, usual = type(self), PairSource
        # Who reads images in another way, or cuts them, needs all of them.
        if self.cut is not None or own.picture is not usual.picture or own.__getitem__ is not usual.__getitem__:
            return self[index]
        pair = self.pairs[index]
        return self._sample(pair, read_reduced(pair.image, size))

    def _sample(self, pair: Pair, picture: Picture) -> Sample:
        image, turned = picture.image, picture.turned
        height, width = picture.size
        depth = valid = stored = None
        if pair.depth is not None:
            stored = self.stored(pair, picture.stored_size)
            depth, valid = self.metres(pair, stored)
            if pair.mask is not None:
                own = (depth.shape[-2], depth.shape[-1])
                # A mask is stored like the numbers of its map, which the map's own metadata may have turned.
                mask = read_mask(pair.mask, own[::-1] if stored.turned >= 5 else own, pair.depth)
                valid = valid & turn(mask, stored.turned)
                depth = depth * valid
            if stored.turned == 1:  # else its own metadata turned it
                depth, valid = (like(one, turned, (height, width)) for one in (depth, valid))
            if not sizes_fit((height, width), (depth.shape[-2], depth.shape[-1])):
                own = (depth.shape[-2], depth.shape[-1])
                raise DataError(mismatch(pair, (height, width), own) + turned_note(turned))
        instances = self.instances(pair)
        if instances is not None:
            instances = like(instances, turned, (height, width))
            if not sizes_fit((height, width), (instances.shape[0], instances.shape[1])):
                named = "" if pair.instances is None else f" '{pair.instances}'"
                size = f"{instances.shape[1]}x{instances.shape[0]}"
                raise DataError(
                    f"'{pair.image}' is {width}x{height} but its object ids{named} are {size} "
                    "(width x height); give ids of the same frame"
                )
            instances = resize_instances(instances, (height, width))
        elif self.has_instances:
            instances = torch.zeros(height, width, dtype=torch.int64)
        camera = camera_of(self, pair, picture, stored)
        intrinsics = None if camera is None else torch.tensor(camera, dtype=torch.float32)
        if picture.whole is not None:
            small = (int(image.shape[-2]), int(image.shape[-1]))
            instances = None if instances is None else resize_instances(instances, small)
            intrinsics = None if intrinsics is None else resize_camera(intrinsics, (height, width), small)
        return Sample(id=pair.id, image=image, depth=depth, valid=valid, instances=instances, intrinsics=intrinsics)

    def picture(self, pair: Pair) -> Picture:
        """Read the photograph of a pair.

        Raises:
            DataError: missing, broken or no photograph.
        """
        return read_picture(pair.image)

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of a pair as it is stored; size: height and width of its photograph as stored.

        Raises:
            DataError: missing, broken or no depth map.
        """
        assert pair.depth is not None
        return read_stored(pair.depth, self.codec, size=size)

    def metres(self, pair: Pair, stored: StoredDepth) -> tuple[Tensor, Tensor]:
        """Return depth along the optical axis in metres and where it is valid, 1 x h x w.

        Raises:
            DataError: the file holds other numbers than its encoding is of, or names another unit.
        """
        assert pair.depth is not None
        if not self._scale_said:
            refuse_other_numbers(stored, self.codec, pair.depth, self.scale_of(pair))
        height, width = stored.values.shape
        camera = self.map_camera(pair, height, width) if self.codec.ray else None
        depth, valid = to_metres(
            stored, self.codec, pair.depth, scale=self.scale_of(pair), camera=camera, rig=self.rig(pair)
        )
        if stored.sky is not None and self.sky == "far" and self.codec.sky is not None:
            far = self.codec.sky / stored.units(self.scale_of(pair))
            depth, valid = depth.masked_fill(stored.sky[None], far), valid | stored.sky[None]
        if self.furthest is not None:
            valid = valid & (depth <= self.furthest)
            depth = depth * valid
        return depth, valid

    def map_camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return fx, fy, cx, cy in pixels of a depth map of this size, which may be smaller than its photograph."""
        size = image_size(pair.image)
        own = size[::-1] if turned_by(pair.image) >= 5 else size
        camera = self.camera(pair, *own)
        return None if camera is None else resize_camera(camera, own, (height, width))

    def rig(self, pair: Pair) -> Rig | None:
        """Return what turns the disparity of a pair into depth, or None where it is none or nothing tells."""
        return pair.rig if self.encoding is None else self.encoding.rig or pair.rig

    def has(self, part: Literal["depth", "instances"]) -> bool:
        """Whether any of the pairs names a file of this part."""
        if isinstance(self.pairs, PairTable):
            return self.pairs.has(part)
        return any(getattr(pair, part) is not None for pair in self.pairs)

    def instances(self, pair: Pair) -> Tensor | None:
        """Return the object ids of a pair, h x w int64, 0 = no object, or None where there are none."""
        return None if pair.instances is None else read_instances(pair.instances, void=self.void)

    def remarks(self) -> Sequence[Finding]:
        """Say how the pairs were found, and what only this layout knows to be missing or broken."""
        return self._notes

    def scale_of(self, pair: Pair) -> float | None:
        """Return the stored units per metre of a pair: the user's, else the layout's, else None (by file type)."""
        own = pair.scale if pair.scale is not None else self.codec.scale
        return self.scale if self.scale is not None else own

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return fx, fy, cx, cy in pixels of an image of this size, or None where unknown."""
        asked = None if self.encoding is None else self.encoding.focal
        focal = pair.focal if asked is None else asked
        if focal is not None and (asked is not None or pair.intrinsics is None):
            return focal, focal, (width - 1) / 2, (height - 1) / 2
        return pair.intrinsics

    def check(self) -> Sequence[Finding]:
        """Say what is missing or broken, from all paths and an even sample of the contents."""
        return survey(self).findings
