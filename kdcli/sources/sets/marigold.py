"""``marigold:FOLDER|TAR``: the lists by which Marigold and those after it measure, on folders or uncompressed tars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from kdcli.cameras import resize_camera
from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home
from kdcli.images import StoredDepth
from kdcli.protocols import API_VERSION
from kdcli.rasters import Place
from kdcli.rasters.tars import tar_index
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.eth3d import refuse_photograph
from kdcli.sources.sets.frames import SetSource
from kdcli.sources.sets.marigold_table import SETS, ZERO_SHOT, Known, SetName, set_of
from kdcli.sources.texts.numbers import FOCAL, check_number, number_of, read_lines
from kdcli.types import Finding

_FORM = "'image depth' or 'image depth third'"


class MarigoldSource(SetSource):
    """Pairs of a list with ``image depth [third]`` in each line, paths in a folder or in an uncompressed tar.

    The location is that folder or tar, or the folder of evaluation data in which Marigold's scripts look
    (``nyuv2/nyu_labeled_extracted.tar``, ``kitti/kitti_eigen_split_test.tar`` and so on). list: the list, or the folder
    ``data_split`` that holds those of all sets; by default ``data_split`` at the location. set: which set it is, which
    says how depth is stored; told by the names of list and tar where they leave no doubt. A third file is DIODE's mask,
    or NYU's filled depth, which filled=true takes instead. Lines with ``None`` for depth are left out. max_depth:
    metres beyond which depth is none. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "marigold"

    def __init__(
        self, *, location: str, list: str | None = None, set: SetName | None = None, filled: bool = False,
        max_depth: float | None = None, start: int = 0, stop: int | None = None, every: int = 1,
        count: int | None = None, seed: int | None = None,
    ) -> None:
        place = at_home(location)
        if not place.exists():
            raise DataError(f"'{location}' does not exist; give the folder or the tar that the paths of a list are in")
        path = _list_file(place, list, set)
        kind = set or set_of(path, place)
        self._known = known = SETS[kind]
        self.protocol = f"marigold-{kind}" if kind in ZERO_SHOT else "plain"
        if filled and known.third != "filled":
            raise ConfigError(f"filled=true: the lists of {kind} have no filled depth, only those of nyu; leave it out")
        self._filled = filled
        self.codec, self.usual_median = known.codec, known.median
        if known.domain is not None:
            self.domain = known.domain
        names, dropped = _read(path, known, filled=filled)
        self._base = _data(place, known, names[0].split(" ")[0], path)
        self._index = tar_index(self._base) if self._base.is_file() else None
        notes = []
        if dropped:
            message = f"{dropped} lines of '{path}' have None for depth and are left out, as their authors do"
            notes = [Finding(level="info", message=message, path=str(path))]
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(names, selection=selection, where=location, max_depth=max_depth, notes=notes)
        self._refuse_absent(path)

    def _refuse_absent(self, path: Path) -> None:
        """Refuse a list of which the tar lacks members, or of which the folder has nothing."""
        wanted = (file for pair in self.pairs for file in (pair.image, pair.depth, pair.mask) if file is not None)
        if self._index is None:
            first = self.pairs[0].image
            if not any(file.exists() for file in wanted if isinstance(file, Path)):
                raise DataError(f"nothing that '{path}' names is there, such as '{first}'; give its folder")
            return
        lacking = [file for file in wanted if isinstance(file, Path)]
        if lacking:
            raise DataError(
                f"{len(lacking)} of the files that '{path}' names are not in '{self._base}', such as "
                f"'{lacking[0].relative_to(self._base)}'; give the tar of this list"
            )

    def pair(self, name: str) -> Pair:
        """Return the files of a line."""
        image, depth, *rest = name.split(" ")
        third = rest[0] if rest else None
        focal = None if third is None else number_of(third)
        mask = self._at(third) if third is not None and self._known.third == "mask" else None
        depth = third if self._filled and third is not None else depth
        return Pair(id=image, image=self._at(image), depth=self._at(depth), mask=mask, focal=focal)

    def _at(self, name: str) -> Place:
        member = None if self._index is None else self._index.find(name)
        return self._base / name if member is None else member

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of a pair as it is stored; size: height and width of its photograph.

        Raises:
            DataError: as of ``SetSource``, or a photograph in place of ETH3D's floats.
        """
        if self.codec.headerless and pair.depth is not None:
            refuse_photograph(pair.depth, size)
        return super().stored(pair, size)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return fx, fy, cx, cy in pixels: of the line's focal length, else of the set's one camera, else None."""
        if pair.focal is None and self._known.camera is not None:
            return resize_camera(self._known.camera, self._known.size, (height, width))
        return super().camera(pair, height, width)


def _list_file(place: Path, given: str | None, kind: str | None) -> Path:
    """Return the list: the given one, or that of the set in the given folder, or in ``data_split`` at the location."""
    folders = [place / "data_split", place] if given is None else [at_home(given), place / given]
    if given is not None:
        for path in folders:
            if path.is_file():
                return path
        if not any(path.is_dir() for path in folders):
            raise DataError(f"list '{given}' exists neither as written nor in '{place}'; check the path")
    if kind is None:
        what = f"list={given} is a folder of lists" if given is not None else f"'{place}' is data without a list"
        raise ConfigError(f"{what}; write set=NAME, one of {', '.join(SETS)}{'' if given else ', or list=FILE'}")
    usual = SETS[kind].list
    # Older versions call the folders of lists by the sets alone.
    for name in (usual, usual.replace("_depth/", "/", 1), Path(usual).name):
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise DataError(f"'{folders[0]}' has no list '{usual}' of set={kind}; give list=FILE, or the folder data_split of "
                    "Marigold's repository")


def _data(place: Path, known: Known, first: str, path: Path) -> Path:
    """Return the folder or tar that holds what a list names: the location, or one below it, packed or unpacked."""
    if place.is_file() or (place / first).exists():
        return place
    usual = place / known.archive
    for other in (usual, place / usual.name):
        if other.is_file():
            return other
    for other in (usual.with_suffix(""), usual.parent):
        if (other / first).exists():
            return other
    raise DataError(f"'{place}' has neither '{first}', the first of '{path}', nor '{known.archive}'; give the folder "
                    "or the tar that the list is of")


def _read(path: Path, known: Known, *, filled: bool) -> tuple[list[str], int]:
    """Return the lines that have depth, their fields set off by one blank, and how many have none."""
    names, dropped = [], 0
    for number, words in _lines(path):
        where = f"'{path}' line {number}"
        if not 2 <= len(words) <= 3 or (len(words) == 2 and (filled or known.third == "mask")):
            wanted = "'image depth third'" if filled or known.third == "mask" else _FORM
            raise DataError(f"{where} has {len(words)} words, not {wanted}; give another list or another set=")
        if len(words) == 3 and known.third is None:
            focal = number_of(words[2])
            if focal is None:
                raise DataError(f"{where} has a third file '{words[2]}', and lists of this set have none; check set=")
            check_number(focal, FOCAL, "focal length", where)
        if words[1] == "None":
            dropped += 1
        else:
            names.append(" ".join(word.removeprefix("./") for word in words))
    if not names:
        raise DataError(f"'{path}' names no image with depth; write lines of {_FORM}")
    return names, dropped


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(path, f"lines of {_FORM}"), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            yield number, words
