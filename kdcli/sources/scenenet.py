"""``scenenet:ROOT``: SceneNet RGB-D, rendered rooms with object ids, as it is unpacked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.protocols import API_VERSION
from kdcli.sources.checks.paths import LISTED
from kdcli.sources.instances import read_instances
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.scenenet_proto import InstanceType, read_types
from kdcli.sources.scenenet_tree import Frames, Trajectory, find_protobufs, find_trajectories, numbers
from kdcli.types import Finding

FIELD_OF_VIEW = (60.0, 45.0)
"""Horizontal and vertical, in degrees, of all photos."""

_OBJECTS = {
    "random": (InstanceType.RANDOM_OBJECT,),
    "layout": (InstanceType.LAYOUT_OBJECT,),
    "all": (InstanceType.RANDOM_OBJECT, InstanceType.LAYOUT_OBJECT),
}


class SceneNetSource(PairSource):
    """Frames of ``ROOT/SPLIT/RENDER_PATH/{photo/N.jpg,depth/N.png,instance/N.png}``, trajectory after trajectory.

    types: which instances count as objects: ``random`` the furniture and things that were dropped into the rooms,
    ``layout`` what belongs to the room (walls, floor, fitted furniture), ``all`` both; lights and background never do.
    protobuf: the file (or folder of files) that says which is which, by default ``scenenet_rgbd_SPLIT*.pb`` in ROOT,
    a folder in it, or beside it; without any, all ids but 0 are objects. Ids are the same through a trajectory. Depth
    is turned from the length of the ray into metres along the optical axis. start, stop, every, count, seed: as in
    ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "scenenet"
    domain = "indoor"
    usual_median = (0.3, 15.0)
    codec = CODECS["scenenet"]

    def __init__(
        self, *, location: str, split: Literal["val", "train"] = "val",
        types: Literal["random", "layout", "all"] = "random", protobuf: str | None = None, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        self.base = _split_folder(root, split)
        self._trajectories = find_trajectories(self.base)
        if not any(trajectory.frames for trajectory in self._trajectories):
            raise DataError(
                f"'{self.base}' has no frames such as 0/223/photo/0.jpg below it; unpack the data there or give the "
                "folder that holds train and val"
            )
        self.protobufs = find_protobufs(root, split, protobuf)
        self._split, self._listed = split, 0
        self._absent: list[str] = []
        self._objects = self._read(_OBJECTS[types])
        frames = Frames(self._trajectories, instances=self.has("instances"))
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        frames.choose(selection.apply(range(len(frames)), location))
        super().__init__(frames, selection=None, scale=None, where=location)

    def _read(self, kinds: Sequence[InstanceType]) -> Mapping[str, frozenset[int]]:
        """Return the ids that count as objects of the trajectories that are on disk, by render path."""
        there = {trajectory.name for trajectory in self._trajectories}
        objects = {}
        for path in self.protobufs:
            for name, types in read_types(path).items():
                self._listed += 1
                if name in there:
                    objects[name] = frozenset(number for number, kind in types.items() if kind in kinds and number > 0)
                else:
                    self._absent.append(name)
        return objects

    def has(self, part: Literal["depth", "instances"]) -> bool:
        """Whether any trajectory has this part; millions of frames need not be asked."""
        return any(part.removesuffix("s") in trajectory.parts for trajectory in self._trajectories)

    def instances(self, pair: Pair) -> Tensor | None:
        """Return the object ids of a frame; ids of other types are 0.

        Raises:
            DataError: they cannot be read.
        """
        if pair.instances is None:
            return None
        ids = read_instances(pair.instances)
        objects = self._objects.get(pair.id.rpartition("/")[0])
        if objects is None:
            return ids
        values = ids.numpy()
        return torch.from_numpy(np.where(np.isin(values, np.fromiter(objects, np.int64, len(objects))), values, 0))

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy in pixels by the fields of view."""
        fx, fy = (
            side / 2 / math.tan(math.radians(angle / 2))
            for side, angle in zip((width, height), FIELD_OF_VIEW, strict=True)
        )
        return fx, fy, (width - 1) / 2, (height - 1) / 2

    def map_camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float]:
        """Return the same of a depth map: it is known for any size."""
        return self.camera(pair, height, width)

    def remarks(self) -> Sequence[Finding]:
        """Say what is wrong with the tree of folders, and between it and the protobuf files."""
        return [*self._about_protobufs(), *self._about_folders()]

    def _about_protobufs(self) -> list[Finding]:
        if not self.protobufs:
            message = (
                f"no scenenet_rgbd_{self._split}*.pb in or beside '{self.where}': all ids but 0 count as objects, "
                "walls and lights too; download it or give protobuf=FILE"
            )
            return [Finding(level="warning", message=message, path=self.where)]
        findings, named = [], ", ".join(f"'{path}'" for path in self.protobufs[:3])
        if self._absent:
            level = "warning" if self._objects else "error"
            message = (
                f"{len(self._absent)} of {self._listed} render paths in {named} are not on disk, such as "
                f"'{self.base / self._absent[0]}'; unpack the rest if you want it"
            )
            findings.append(Finding(level=level, message=message, path=str(self.protobufs[0])))
        unknown = [t for t in self._trajectories if t.name not in self._objects]
        if unknown:
            message = (
                f"{len(unknown)} trajectories are not in {named}, such as '{unknown[0].folder}': all their ids but 0 "
                "count as objects; give their protobuf too"
            )
            findings.append(Finding(level="warning", message=message, path=str(unknown[0].folder)))
        return findings

    def _about_folders(self) -> list[Finding]:
        def bare(trajectory: Trajectory) -> tuple[str, str] | None:
            if "photo" not in trajectory.parts:
                return "error", f"'{trajectory.folder}' has no folder photo; unpack it again or remove it"
            if not trajectory.frames:
                return "error", f"'{trajectory.folder / 'photo'}' has no photo N.jpg; unpack it again or remove it"
            return None

        def uneven(trajectory: Trajectory) -> tuple[str, str] | None:
            counts = {"photo": len(trajectory.frames)} | {
                part: len(numbers(trajectory.folder, part)) for part in sorted(trajectory.parts - {"photo"})
            }
            if len(set(counts.values())) == 1 or "photo" not in trajectory.parts:
                return None
            listed = ", ".join(f"{count} {part}" for part, count in counts.items())
            return "warning", f"'{trajectory.folder}' has files in unequal number: {listed}; unpack it again"

        return [finding for fault in (bare, uneven) for finding in self._each(fault)]

    def _each(self, fault: Callable[[Trajectory], tuple[str, str] | None]) -> list[Finding]:
        """Return a finding for each trajectory with a fault, the first few one by one."""
        found = [(trajectory.folder, said) for trajectory in self._trajectories if (said := fault(trajectory))]
        findings = [Finding(level=level, message=text, path=str(folder)) for folder, (level, text) in found[:LISTED]]
        if len(found) > LISTED:
            folder, (level, _) = found[LISTED]
            message = f"{len(found) - LISTED} more trajectories like '{folder}' have the same fault"
            findings.append(Finding(level=level, message=message, path=str(folder)))
        return findings


def _split_folder(root: Path, split: str) -> Path:
    """Return the folder of a split: below the root, or the root when it is that folder."""
    if (root / split).is_dir():
        return root / split
    if root.resolve().name == split:
        return root
    other = "train" if split == "val" else "val"
    remedy = f"write split={other}" if (root / other).is_dir() else "give the folder that holds train and val"
    raise DataError(f"'{root}' has no folder {split}; {remedy}")
