"""Scans of ScanNet, as exported frames or ``.sens`` files, and their frames as pairs made when asked for.

The set has two and a half million of them: a frame that nobody asks for is a number.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from kdcli.images import NO_VALUE, StoredDepth
from kdcli.rasters import Member
from kdcli.rasters.sensor_streams import SensFile, read_sens_depth
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair
from kdcli.sources.sets.numbered import Names, numbered
from kdcli.sources.table.lazy import LazyPairs

_IDS = ("instance-filt", "instance")
"""Folders of object ids, of the whole set and of the subset of 25,000 frames."""


class Scan(Protocol):
    """The frames of one scan."""

    name: str
    has_ids: bool

    def __len__(self) -> int: ...

    def pair(self, position: int) -> Pair:
        """Return a frame by its position."""


class Exported:
    """A folder of ``color/N.jpg`` with ``depth/N.png``: the frames that have both, by number."""

    def __init__(self, folder: Path, left: LeftOut) -> None:
        self.name, self.folder = folder.resolve().name, folder
        colour, depth, self._ids_at = folder / "color", folder / "depth", ids_folder(folder)
        images, maps = numbered(colour, {".jpg", ".jpeg", ".png"}, left), numbered(depth, {".png"}, left)
        ids = {} if self._ids_at is None else numbered(self._ids_at, {".png"}, left)
        left.images += [str(colour / name) for number, name in images.items() if number not in maps]
        left.depths += [str(depth / name) for number, name in maps.items() if number not in images]
        self._numbers = array("Q", (number for number in images if number in maps))
        self._images, self._maps, self._ids = Names(images), Names(maps), Names(ids)
        self.has_ids = bool(ids)

    def __len__(self) -> int:
        return len(self._numbers)

    def pair(self, position: int) -> Pair:
        """Return a frame by its position."""
        number = self._numbers[position]
        ids = None if self._ids_at is None else self._ids.of(number)
        return Pair(
            id=f"{self.name}/{number}", image=self.folder / "color" / str(self._images.of(number)),
            depth=self.folder / "depth" / str(self._maps.of(number)),
            instances=None if ids is None or self._ids_at is None else self._ids_at / ids,
        )


class Recorded:
    """A ``.sens`` file."""

    def __init__(self, path: Path) -> None:
        self.name, self.file, self._ids_at = path.stem, SensFile(path), ids_folder(path.parent)
        self.has_ids = self._ids_at is not None

    def __len__(self) -> int:
        return len(self.file)

    def pair(self, position: int) -> Pair:
        """Return a frame by its position, which is its number."""
        image, depth = self.file.frame(position)
        ids = None if self._ids_at is None else self._ids_at / f"{position}.png"
        return Pair(
            id=f"{self.name}/{position}", image=image, depth=depth, scale=self.file.head.shift,
            instances=ids if ids is not None and ids.is_file() else None,
        )

    def stored(self, member: Member) -> StoredDepth:
        """Read the depth of a frame as it is stored: 0 and 65535 are no measurement.

        Raises:
            DataError: truncated or damaged.
        """
        numbers = read_sens_depth(member, self.file.head.depth)
        valid = (numbers > 0) & (numbers < NO_VALUE)
        values = np.where(valid, numbers, 0).astype(np.float32)
        return StoredDepth(
            values=torch.from_numpy(values), valid=torch.from_numpy(valid), bits=16, scale=self.file.head.shift,
        )


class Scans(LazyPairs):
    """Pairs of all frames of scans, in their order."""

    def __init__(self, scans: Sequence[Scan]) -> None:
        self._scans = scans
        self._ends = list(accumulate(len(scan) for scan in scans))
        self._chosen: Sequence[int] = range(self._ends[-1] if self._ends else 0)

    def _pair(self, position: int) -> Pair:
        which = bisect_right(self._ends, position)
        return self._scans[which].pair(position - (self._ends[which - 1] if which else 0))


def ids_folder(scene: Path) -> Path | None:
    """Return the folder of object ids of a scan, where its archive was unpacked."""
    places = [scene / name for name in _IDS]
    places += [scene / f"{scene.resolve().name}_2d-instance-filt" / "instance-filt"]
    return next((path for path in places if path.is_dir()), None)


def recorded_by_path(scans: Sequence[Scan]) -> Mapping[Path, Recorded]:
    """Return the scans that are ``.sens`` files, by their paths."""
    return {scan.file.path: scan for scan in scans if isinstance(scan, Recorded)}
