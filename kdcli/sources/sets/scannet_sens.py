"""Frames of ScanNet's ``.sens`` files as pairs that are made when asked for: a set has millions."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import overload

import numpy as np
import torch

from kdcli.images import NO_VALUE, StoredDepth
from kdcli.rasters import Member
from kdcli.rasters.sensor_streams import SensFile, read_sens_depth
from kdcli.sources.pairs import Pair
from kdcli.sources.path_checks import LISTED
from kdcli.types import Finding

_IDS = ("instance-filt", "instance")
"""Folders of object ids, of the whole set and of the subset of 25,000 frames."""


def ids_folder(scene: Path) -> Path | None:
    """Return the folder of object ids of a scan, where its archive was unpacked."""
    places = [scene / name for name in _IDS]
    places += [scene / f"{scene.resolve().name}_2d-instance-filt" / "instance-filt"]
    return next((path for path in places if path.is_dir()), None)


class Scans(Sequence[Pair]):
    """Pairs of all frames of files, in their order."""

    def __init__(self, files: Sequence[tuple[str, Path]]) -> None:
        self._names = [name for name, _ in files]
        self._files = [SensFile(path) for _, path in files]
        self._by_path = {file.path: file for file in self._files}
        self._ids = [ids_folder(path.parent) for _, path in files]
        self._ends = list(accumulate(len(file) for file in self._files))
        self._chosen: Sequence[int] = range(self._ends[-1])

    @property
    def any_ids(self) -> bool:
        """Whether any scan has object ids."""
        return any(folder is not None for folder in self._ids)

    def choose(self, positions: Sequence[int]) -> None:
        """Keep only these of the pairs."""
        self._chosen = array("q", positions)

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = self._chosen[index]
        which = bisect_right(self._ends, position)
        number = position - (self._ends[which - 1] if which else 0)
        image, depth = self._files[which].frame(number)
        folder = self._ids[which]
        ids = None if folder is None else folder / f"{number}.png"
        return Pair(
            id=f"{self._names[which]}/{number}", image=image, depth=depth, scale=self._files[which].head.shift,
            instances=ids if ids is not None and ids.is_file() else None,
        )

    def file_of(self, member: Member) -> SensFile:
        """Return the file that a frame's picture or depth is in."""
        return self._by_path[member.archive]

    def findings(self) -> list[Finding]:
        """Say which files end before their last frame does."""
        found = []
        for file in self._files:
            if (cut := file.cut_at()) is not None:
                message = f"'{file.path}' ends within frame {cut} of {len(file)} (counted from 0); download it again"
                found.append(Finding(level="error", message=message, path=str(file.path)))
        more = [] if len(found) <= LISTED else [
            Finding(level="error", message=f"{len(found) - LISTED} more files end before their last frame does")
        ]
        return found[:LISTED] + more


def stored_in(file: SensFile, member: Member) -> StoredDepth:
    """Read the depth of a frame as it is stored: 0 and 65535 are no measurement.

    Raises:
        DataError: truncated or damaged.
    """
    numbers = read_sens_depth(member, file.head.depth)
    valid = (numbers > 0) & (numbers < NO_VALUE)
    values = np.where(valid, numbers, 0).astype(np.float32)
    return StoredDepth(
        values=torch.from_numpy(values), valid=torch.from_numpy(valid), bits=16, scale=file.head.shift,
    )
