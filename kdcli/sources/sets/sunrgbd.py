"""``sunrgbd:ROOT``: SUN RGB-D, four depth cameras indoors, as the whole tree is unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from kdcli.codecs import CODECS
from kdcli.errors import ConfigError, DataError
from kdcli.images import StoredDepth, image_size
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.frames import Frames
from kdcli.sources.sets.sixteen import distance, sixteen_bits
from kdcli.sources.sets.sunrgbd_tree import NYU, called, ids_of, listed, only_file, polygons_of, samples_below
from kdcli.sources.texts.numbers import read_camera
from kdcli.types import Finding

_FOLDERS = {"bfx": "depth_bfx", "raw": "depth"}
_OUTLINES = "annotation2Dfinal/index.json"


class SunRgbdSource(PairSource):
    """Samples below ROOT: folders with ``image/`` and ``depth_bfx/``, each of which holds one file of some name.

    depth: ``bfx``, holes filled by the authors (the usual choice), or ``raw``. split: ``train`` and ``test`` of
    ``allsplit.mat`` of the toolbox, in ROOT or beside it, or the two parts of train, ``inner-train`` and ``inner-val``.
    list: another place of that file. nyu: ``leave-out`` drops the 1,449 samples that are NYU Depth v2's. Cameras are
    those of ``intrinsics.txt``; objects the polygons of ``annotation2Dfinal/index.json``. max_depth: metres beyond
    which depth is none (8 or 10 in use). start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "sunrgbd"
    domain = "indoor"
    usual_median = (0.3, 10.0)
    codec = CODECS["sunrgbd"]

    def __init__(
        self, *, location: str, depth: Literal["bfx", "raw"] = "bfx",
        split: Literal["train", "test", "inner-train", "inner-val"] | None = None, list: str | None = None,
        nyu: Literal["keep", "leave-out"] = "keep", max_depth: float | None = None, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        if list is not None and split is None:
            raise ConfigError(f"list={list} says where allsplit.mat is; add split=train or split=test, or for a list "
                              f"of your own write listed:[sunrgbd:{location}],list={list}")
        there: Sequence[str] = samples_below(root)
        if not there:
            raise DataError(f"'{root}' has no folder with image/ and depth_bfx/ below it; give the folder SUNRGBD")
        notes: tuple[Finding, ...] = ()
        if split is not None:
            there, notes = _of_split(root, there, listed(root, list, split))
        if nyu == "leave-out":
            there = [sample for sample in there if NYU not in f"{root.resolve().as_posix()}/{sample}"]
        self.furthest = distance(max_depth)
        left, self._root, self._depth = LeftOut(), root, _FOLDERS[depth]
        names = [name for sample in there if (name := _files(root, sample, self._depth, left)) is not None]
        if not names:
            raise DataError(f"'{root}' has samples, but none of them with one file in image/ and {_FOLDERS[depth]}/; "
                            "unpack it again")
        shared = sum(NYU in file_of(self._pair(name).image).resolve().as_posix() for name in names)
        if shared:
            message = (
                f"{shared} of {len(names)} samples are NYU Depth v2's ({NYU}), so a network that has seen NYU knows "
                "them; leave them out with nyu=leave-out"
            )
            notes = (*notes, Finding(level="info", message=message, path=location))
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        frames = Frames(names, self._pair)
        frames.choose(selection.positions(len(names), location))
        super().__init__(frames, selection=None, scale=None, where=location, notes=[*left.findings(), *notes])

    def _pair(self, name: str) -> Pair:
        sample, image, depth, outlines = name.split("\t")
        folder = self._root / sample
        return Pair(
            id=called(self._root, sample), image=folder / "image" / image, depth=folder / self._depth / depth,
            instances=folder / _OUTLINES if outlines else None,
        )

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of a sample as it is stored.

        Raises:
            DataError: missing, broken, or a picture of 8 bits.
        """
        assert pair.depth is not None
        return sixteen_bits(super().stored(pair, size), pair.depth, self.name)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return what ``intrinsics.txt`` of the sample says; None where there is none.

        Raises:
            DataError: it cannot be read.
        """
        path = file_of(pair.image).parent.parent / "intrinsics.txt"
        return read_camera(path) if path.is_file() else None

    def instances(self, pair: Pair) -> Tensor | None:
        """Return the polygons of a sample as object ids; those of one object have one id.

        Raises:
            DataError: they cannot be read.
        """
        if pair.instances is None:
            return None
        outlines = polygons_of(file_of(pair.instances))
        return ids_of(sorted(outlines.items()), image_size(pair.image))


def _of_split(
    root: Path, there: Sequence[str], wanted: Sequence[str]
) -> tuple[Sequence[str], tuple[Finding, ...]]:
    """Return which samples a list names, in its order, and how many of those are not there."""
    known = {called(root, sample): sample for sample in there}
    found = [known[name] for name in wanted if name in known]
    absent = [name for name in wanted if name not in known]
    if not found:
        raise DataError(f"none of the {len(wanted)} samples of the list is below '{root}', such as '{absent[0]}'; give "
                        "the folder SUNRGBD")
    if not absent:
        return found, ()
    message = f"{len(absent)} of {len(wanted)} samples of the list are not below '{root}', such as '{absent[0]}'"
    return found, (Finding(level="warning", message=message, path=str(root)),)


def _files(root: Path, sample: str, depth: str, left: LeftOut) -> str | None:
    """Return a sample, the names of its image and its depth, and whether it has outlines, tabs between them.

    None where a file is missing or is not the only one of its folder.
    """
    folder = root / sample
    image, images = only_file(folder / "image")
    stored, maps = only_file(folder / depth)
    if image is None or stored is None:
        if image is not None:
            left.images.append(str(folder / "image" / image))
        elif stored is not None:
            left.depths.append(str(folder / depth / stored))
        for name, count in (("image", images), (depth, maps)):
            if count != 1:
                left.bare.append((str(folder / name), f"holds {count} pictures instead of one; unpack it again"))
        return None
    return "\t".join((sample, image, stored, "outlines" if (folder / _OUTLINES).is_file() else ""))
