"""``nyu:ROOT``: NYU Depth v2 in the layout of BTS and AdaBins: jpg beside 16-bit millimetres."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from kdcli.errors import DataError
from kdcli.images import IMAGE_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of
from kdcli.sources.cuts import NYU_BORDER
from kdcli.sources.listing import folders_in, list_files, natural_key
from kdcli.sources.lists import (
    LIST_PATTERN,
    Locator,
    about_lines,
    existing_root,
    find_list,
    listed_pairs,
    read_list,
    require_some,
)
from kdcli.sources.matching import by_name, match_names
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.beside import one_of_each
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairing.unread import may_be_unread
from kdcli.sources.pairs import Pair, Selection

_TOOLBOX_CAMERA = (518.857901, 519.469611, 325.582449, 253.736166)
"""fx, fy, cx, cy of the colour camera at 640x480, from the data set's own toolbox."""


class NyuSource(PairSource):
    """Pairs named by a list file (``rgb depth focal``), or found as ``rgb_N`` beside ``sync_depth_N``.

    list: list file, as written or below ROOT; a single ``*_files_with_gt.txt`` in ROOT is found by itself. split: which
    list or ``official_splits`` folder to use. Files are looked for in ROOT, ``sync`` and ``official_splits``. crop:
    ``border`` keeps rows 45 to 471 and columns 43 to 607 of 480 x 640, without the white frame. Depth is read at
    ``scale`` units per metre. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "nyu"
    domain = "indoor"
    usual_median = (0.1, 10.0)

    def __init__(
        self, *, location: str, list: str | None = None, split: Literal["train", "test"] | None = None,
        crop: Literal["none", "border"] = "none", scale: float = 1000.0, start: int = 0, stop: int | None = None,
        every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        path = find_list(root, list, split)
        bases = _bases(root, split)
        image_at, depth_at = Locator(bases, endings=IMAGE_SUFFIXES), Locator(bases)
        lines = [] if path is None else read_list(path)
        left = LeftOut()
        pairs = _scan(bases, root, left) if path is None else listed_pairs(lines, image_at, depth_at)
        require_some(pairs, root, "list=FILE")
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        notes = [*left.findings(), *about_lines(path, lines, (image_at, depth_at))]
        super().__init__(pairs, selection=selection, scale=scale, where=location, notes=notes)
        self.cut = NYU_BORDER if crop == "border" else None

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the toolbox's calibration for images of the sensor's size, else the focal length and image centre."""
        toolbox = pair.focal is None or abs(pair.focal - _TOOLBOX_CAMERA[0]) < 0.1
        if toolbox and (height, width) == (480, 640):
            return _TOOLBOX_CAMERA
        return super().camera(pair, height, width)


def _bases(root: Path, split: str | None) -> list[Path]:
    """Return the folders that paths of a list may be relative to; the most likely first."""
    splits = [split] if split else ["test", "train"]
    names = ["", "sync", *(f"official_splits/{name}" for name in splits), *splits]
    if split == "test":
        names = ["official_splits/test", "test", "", "sync"]
    return [root / name for name in names if (root / name).is_dir()]


def _scan(bases: list[Path], root: Path, left: LeftOut) -> list[Pair]:
    """Pair ``rgb_N.jpg`` with ``sync_depth_N.png`` in the first base that has any, itself or its scene folders.

    Raises:
        DataError: there is none.
    """
    for base in bases:
        pairs: list[Pair] = []
        for folder in (base, *folders_in(base)):
            everything = list_files(folder, None, own=left.own)
            files = [path for path in everything if path.suffix.lower() in IMAGE_SUFFIXES]
            left.unread += [p for p in everything if p.name.startswith("sync_depth_") and may_be_unread(p)]
            images = by_name([path for path in files if path.name.startswith("rgb_")], folder)
            depths = by_name([path for path in files if path.name.startswith("sync_depth_")], folder)
            maps = one_of_each({name: pngs for name, paths in depths.items() if (pngs := _pngs(paths))}, left)
            matched = match_names({name: paths[0] for name, paths in images.items()}, maps)
            left.twins += [(paths[0], other) for paths in images.values() for other in paths[1:]]
            left.depths += [path for path in maps.values() if path not in set(matched.values())]
            pairs += [
                Pair(id=image.relative_to(root).as_posix(), image=image, depth=matched.get(name))
                for name, paths in images.items()
                for image in paths
            ]
        if pairs:
            return sorted(pairs, key=lambda pair: natural_key(file_of(pair.image).as_posix()))
    raise DataError(
        f"'{root}' has no list {LIST_PATTERN} and no rgb_N.jpg with sync_depth_N.png in it, sync/ or official_splits/; "
        "give list=FILE or the right folder"
    )


def _pngs(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() == ".png"]
