"""``wds:SHARDS``: samples in tar files as webdataset packs them, each image reached by its index."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from kdcli.codecs import find_codec
from kdcli.errors import DataError
from kdcli.images import Rig
from kdcli.protocols import API_VERSION
from kdcli.rasters.places import open_place
from kdcli.sources.paired import PairSource
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.shards.archives import find_archives
from kdcli.sources.shards.headers import read_headers
from kdcli.sources.shards.keys import count_suffixes, groups_of
from kdcli.sources.shards.samples import ShardPair, ShardSamples
from kdcli.sources.shards.suffixes import depth_suffix, image_suffix, listed, other_suffix
from kdcli.sources.texts.numbers import FOCAL, check_camera, check_number
from kdcli.types import Finding

_FACTS = "json"
_MOST_FACTS = 1 << 20


class WdsSource(PairSource):
    """Samples of uncompressed tars: the files of one key, which is the name up to its first dot.

    SHARDS: a tar, a folder of them, a glob, or ``train-{000000..000011}.tar``. image, depth: the rest of their names,
    such as ``rgb.jpg`` and ``depth.png``, by default those that can only be meant; ``jpg;png`` is either,
    ``depth=none`` leaves depth out. mask, instances: the same for masks of the depth and object ids; void: an id that
    means no object. codec: encoding of the depth, by default millimetres in whole numbers and metres in floats; scale:
    stored units per metre. A ``json`` with ``intrinsics`` (3 x 3, or fx, fy, cx, cy, in pixels) is read; focal: pixels,
    where there is none. focal_baseline: pixels times metres, for disparity. max_depth: metres beyond which depth is
    left out. start, stop, every, count, seed: as in ``Selection``. Shards are in natural order, keys within one too.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "wds"

    def __init__(
        self, *, location: str, image: str | None = None, depth: str | None = None, mask: str | None = None,
        instances: str | None = None, void: int | None = None, codec: str = "by-type", scale: float | None = None,
        focal: float | None = None, focal_baseline: float | None = None, max_depth: float | None = None,
        start: int = 0, stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        self.codec, self.void, self.furthest = find_codec(codec), void, distance(max_depth)
        archives = find_archives(location)
        self._focal = focal if focal is None else check_number(focal, FOCAL, "focal length", f"'{location}'")
        self._rig = None if focal_baseline is None else Rig(focal_baseline=focal_baseline)
        headers = [read_headers(archive) for archive in archives]
        counts: Counter[str] = Counter()
        for archive, known in zip(archives, headers, strict=True):
            counts += count_suffixes(archive, known)
        pictures = image_suffix(image, counts, location)
        parts = {
            "image": pictures, "depth": depth_suffix(depth, pictures, counts, location),
            "mask": other_suffix(mask, "mask", counts, location),
            "instances": other_suffix(instances, "instances", counts, location),
            "facts": (_FACTS,) if _FACTS in counts else (),
        }
        self._samples = ShardSamples(archives, _names(archives), parts)
        for archive, known in zip(archives, headers, strict=True):
            self._samples.add(known, groups_of(archive, known))
        self._samples.close()
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        self._samples.choose(selection.positions(len(self._samples), location))
        used = {suffix for suffixes in parts.values() for suffix in suffixes}
        unused = {suffix: n for suffix, n in counts.items() if suffix not in used}
        notes = _notes(unused, self._samples.without, location)
        super().__init__(self._samples, selection=None, scale=scale, where=location, notes=notes)

    def has(self, part: Literal["depth", "instances"]) -> bool:
        """Whether any sample has a file of this part."""
        return self._samples.has(part)

    def rig(self, pair: Pair) -> Rig | None:
        """Return what turns disparity into depth, where the user told it."""
        return self._rig

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the camera that the sample's JSON tells, else the given focal length and the centre, or None.

        Raises:
            DataError: its numbers are no camera.
        """
        if (told := self._told(pair)) is not None or self._focal is None:
            return told
        return self._focal, self._focal, (width - 1) / 2, (height - 1) / 2

    def _told(self, pair: Pair) -> tuple[float, float, float, float] | None:
        facts = pair.facts if isinstance(pair, ShardPair) else None
        if facts is None or facts.size > _MOST_FACTS:
            return None
        try:
            with open_place(facts) as stream:
                known: Any = json.load(stream)
            given = known.get("intrinsics") if isinstance(known, dict) else None
            if given is None:
                return None
            rows = given if isinstance(given[0], list) else [given]
            flat = [float(value) for row in rows for value in row]
            fx, fy, cx, cy = flat if len(flat) == 4 else (flat[0], flat[4], flat[2], flat[5])
        except (ValueError, TypeError, IndexError, KeyError, RecursionError):
            raise DataError(f"'{facts}' has no intrinsics of 3 x 3 or 4 numbers; pack the shard again") from None
        return check_camera((fx, fy, cx, cy), f"'{facts}'")


def _names(archives: Sequence[Path]) -> list[str]:
    """Return what tells the shards apart: their paths below the folder that holds all, without the ending."""
    stems = [str(archive.absolute().with_suffix("")) for archive in archives]
    common = os.path.commonpath([os.path.dirname(stem) for stem in stems])  # noqa: PTH120 - strings, of many shards
    return [os.path.relpath(stem, common).replace(os.sep, "/") for stem in stems]


def _notes(unused: dict[str, int], without: int, where: str) -> list[Finding]:
    found = []
    if without:
        message = f"{without} samples of '{where}' have no image and are left out"
        found.append(Finding(level="warning", message=message, path=where))
    if unused:
        message = f"files of '{where}' that are not used, by suffix: {listed(unused)}"
        found.append(Finding(level="info", message=message, path=where))
    return found
