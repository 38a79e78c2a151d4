"""SceneNet RGB-D on disk: trajectories of frames, and the protobuf files that go with them."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.sources.listing import natural_key
from kdcli.sources.pairs import Pair
from kdcli.sources.table.lazy import LazyPairs

PARTS = {"photo": ".jpg", "depth": ".png", "instance": ".png"}
"""The folders of a trajectory and the endings of their files."""

_LEVELS = 3
"""A render path is ``K/N``; one more for trees that were unpacked a level deeper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One folder of frames. name: render path below the split's folder. parts: which of ``PARTS`` it has.

    frames: numbers of its photos, ascending.
    """

    name: str
    folder: Path
    parts: frozenset[str]
    frames: Sequence[int]


def find_trajectories(base: Path) -> list[Trajectory]:
    """Return the trajectories below a folder in natural order, also those that lack a part."""
    found, level = [], [base]
    for _ in range(_LEVELS):
        below: list[Path] = []
        for folder in level:
            names = _folders(folder)
            parts = frozenset(names) & PARTS.keys()
            if parts and folder != base:
                name = folder.relative_to(base).as_posix()
                frames = numbers(folder, "photo") if "photo" in parts else array("l")
                found.append(Trajectory(name=name, folder=folder, parts=parts, frames=frames))
            elif not parts:
                below += [folder / name for name in names]
        level = below
    return sorted(found, key=lambda trajectory: natural_key(trajectory.name))


def numbers(folder: Path, part: str) -> array[int]:
    """Return the frame numbers that a part of a trajectory has files of, ascending."""
    ending = PARTS[part]
    with os.scandir(folder / part) as entries:
        stems = [entry.name.removesuffix(ending) for entry in entries if entry.name.endswith(ending)]
    return array("l", sorted(int(stem) for stem in stems if stem.isdecimal()))


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:  # a folder that we may not read holds nothing for us
        return []


class Frames(LazyPairs):
    """Pairs of all photos of trajectories, made when asked for: the training set has five million."""

    def __init__(self, trajectories: Sequence[Trajectory], *, instances: bool) -> None:
        self._trajectories = [trajectory for trajectory in trajectories if trajectory.frames]
        self._ends = list(accumulate(len(trajectory.frames) for trajectory in self._trajectories))
        self._instances = instances
        self._chosen: Sequence[int] = range(self._ends[-1] if self._ends else 0)

    def _pair(self, position: int) -> Pair:
        which = bisect_right(self._ends, position)
        trajectory = self._trajectories[which]
        frame = trajectory.frames[position - self._ends[which]]  # counted from the end of its trajectory
        path = {part: trajectory.folder / part / f"{frame}{ending}" for part, ending in PARTS.items()}
        return Pair(
            id=f"{trajectory.name}/{frame}", image=path["photo"],
            depth=path["depth"] if "depth" in trajectory.parts else None,
            instances=path["instance"] if self._instances else None,
        )


def find_protobufs(root: Path, split: str, given: str | None) -> list[Path]:
    """Return the protobuf files of a split: the given file or those of the given folder, else those that are found.

    They are looked for in the root, in the folders in it, and beside it, there also in folders named like
    ``train_protobufs``: other folders beside the root may be other data.

    Raises:
        DataError: the given one does not exist.
    """
    pattern = f"scenenet_rgbd_{split}*.pb"
    if given is not None:
        path = next((path for path in (at_home(given), root / given) if path.exists()), None)
        found = [] if path is None else [path] if path.is_file() else list(path.glob(pattern))
        if not found:
            where = f"exists neither as written nor in '{root}'" if path is None else f"has no {pattern}"
            raise DataError(f"protobuf '{given}' {where}; check protobuf=")
    else:
        places = [(root, ""), (root, "*/")]
        places += [(base, below) for base in (root.absolute().parent, root.resolve().parent)
                   for below in ("", "*protobuf*/")]
        found = [path for base, below in places for path in base.glob(below + pattern)]
    named = {path.name: path for path in reversed(found) if path.is_file()}  # the nearest of copies
    return sorted(named.values(), key=lambda path: natural_key(path.name))
