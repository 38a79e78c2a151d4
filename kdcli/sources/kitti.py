"""``kitti:ROOT``: KITTI raw images with the annotated depth of the depth benchmark, 16 bit at 256 units a metre."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar, Literal

from kdcli.cameras import resize_camera
from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.images import IMAGE_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of
from kdcli.sources.cuts import KITTI_BENCHMARK
from kdcli.sources.file_names import name_of, natural_order, prefix_of, stem_of
from kdcli.sources.listing import is_hidden, list_paths
from kdcli.sources.lists import (
    LIST_PATTERN,
    Line,
    Locator,
    about_lines,
    existing_root,
    find_list,
    listed_pairs,
    read_list,
    require_some,
)
from kdcli.sources.matching import below, twins
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.texts.numbers import check_camera, check_number, number_of, read_lines

_DATED = re.compile(r"\d{4}_\d{2}_\d{2}")
_CAMERA = re.compile(r"image_(0[23])")
_SEARCH_LEVELS, _SEARCH_LIMIT = 3, 5000


class KittiSource(PairSource):
    """Pairs named by a list file (``rgb depth|None focal``), or all frames of ``image_02`` with the depth they have.

    list: list file, as written or below ROOT; a single ``*_files_with_gt.txt`` in ROOT is found by itself. split: which
    of several such lists. images, depths: the raw and the annotated tree, where they are not below ROOT. gt: ``only``
    leaves out frames without ground truth. crop: ``kb`` keeps 352 x 1216 at the bottom centre of every frame. Depth is
    read at ``scale`` units per metre. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "kitti"
    domain = "driving"
    usual_median = (1.0, 80.0)

    def __init__(
        self, *, location: str, list: str | None = None, images: str | None = None, depths: str | None = None,
        split: Literal["train", "test"] | None = None, gt: Literal["all", "only"] = "all",
        crop: Literal["none", "kb"] = "none", scale: float = 256.0, start: int = 0, stop: int | None = None,
        every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        path = find_list(root, list, split)
        raw = _trees(root) if images is None else _trees(_below(root, images))
        annotated = _trees(root) if depths is None else _trees(_below(root, depths))
        left = LeftOut()
        lines = _scan(raw, annotated, root, left) if path is None else read_list(path)
        # Many keep the raw images converted to save space.
        image_at = Locator(raw, endings=IMAGE_SUFFIXES)
        depth_at = Locator(annotated, beside=image_at)
        wanted = [line for line in lines if gt == "all" or line.depth is not None]
        pairs = listed_pairs(wanted, image_at, depth_at)
        if not pairs:
            raise DataError(f"'{path or location}' has no frame with ground truth; leave out gt=only or give depths=")
        require_some(pairs, root, "images=DIR or depths=DIR")
        self._calibrations: dict[Path, dict[str, tuple[float, ...]]] = {}
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        notes = [*left.findings(), *about_lines(path, lines, (image_at, depth_at))]
        super().__init__(pairs, selection=selection, scale=scale, where=location, notes=notes)
        self.cut = KITTI_BENCHMARK if crop == "kb" else None

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the rectified camera of the recording, scaled to the image, else the list's focal length and centre.

        Raises:
            DataError: a calibration file that cannot be read.
        """
        image = file_of(pair.image)
        match = _CAMERA.search(image.as_posix())
        day = next((parent for parent in image.parents if _DATED.fullmatch(parent.name)), None)
        if match is None or day is None:
            return super().camera(pair, height, width)
        if day not in self._calibrations:
            self._calibrations[day] = _calibration(day / "calib_cam_to_cam.txt")
        values = self._calibrations[day]
        projection, size = values.get(f"P_rect_{match[1]}", ()), values.get(f"S_rect_{match[1]}", ())
        if len(projection) != 12:
            return super().camera(pair, height, width)
        own = (projection[0], projection[5], projection[2], projection[6])
        return own if len(size) != 2 else resize_camera(own, (round(size[1]), round(size[0])), (height, width))


def _below(root: Path, given: str) -> Path:
    for path in (at_home(given), root / given):
        if path.is_dir():
            return path
    raise DataError(f"'{given}' exists neither as written nor in '{root}'; give the folder of the tree")


def _trees(root: Path) -> list[Path]:
    """Return the root and the folders below it that may hold recordings, without going into recordings."""
    found, level = [root], [root]
    for _ in range(_SEARCH_LEVELS):
        level = [folder for parent in level for folder in _folders(parent)]
        found.extend(level)
        if len(found) > _SEARCH_LIMIT:
            break
    return found


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            names = [e.name for e in entries if e.is_dir() and not is_hidden(e.name)]
    except OSError:  # a folder that we may not read holds nothing for us
        return []
    return [parent / name for name in sorted(names) if not _DATED.match(name)]


def _scan(raw: list[Path], annotated: list[Path], root: Path, left: LeftOut) -> list[Line]:
    """List every frame of camera 2 as if a list named it, with the ground truth that exists.

    Raises:
        DataError: there is no recording.
    """
    locate = Locator(annotated)
    for base in raw:
        folders = [path for path in base.glob("*/*_sync/image_02/data") if path.is_dir()]
        frames = [frame for folder in folders for frame in list_paths(folder, {".png", ".jpg"})]
        drives = {prefix_of(folder): f"{folder.parents[1].name}/proj_depth/groundtruth/image_02/" for folder in folders}
        lines, root_of = [], prefix_of(base)
        for frame in natural_order(frames):
            name = name_of(frame)
            depth = f"{drives[frame.removesuffix(name)]}{stem_of(name)}.png"
            known = depth if os.path.isfile(locate(depth)) else None  # noqa: PTH113 - of many files
            lines.append(Line(image=below(frame, root_of), depth=known, focal=None))
        if lines:
            left.twins += twins(frames)
            for folder in folders:
                maps = Path(locate(f"{drives[prefix_of(folder)]}0.png")).parent
                if maps.is_dir():
                    names = {stem_of(path) for path in list_paths(folder, {".png", ".jpg"})}
                    left.depths += [path for path in list_paths(maps, {".png"}) if stem_of(path) not in names]
            return lines
    raise DataError(
        f"'{root}' has no list {LIST_PATTERN} and no DATE/DRIVE_sync/image_02/data below it; "
        "give list=FILE, images=DIR or the right folder"
    )


def _calibration(path: Path) -> dict[str, tuple[float, ...]]:
    """Read ``key: numbers`` lines; an absent file gives none, lines that are not numbers are skipped.

    Raises:
        DataError: the file cannot be read, or a rectified camera or size in it cannot be.
    """
    if not path.is_file():
        return {}
    values = {}
    for number, row in enumerate(read_lines(path, "KITTI's calibration; download it again or remove it"), 1):
        key, _, text = row.partition(":")
        numbers = [number_of(word) for word in text.split()]
        if None in numbers:  # the date of the calibration
            continue
        known, where = tuple(value for value in numbers if value is not None), f"'{path}' line {number}"
        if key.strip().startswith("P_rect") and len(known) == 12:
            check_camera((known[0], known[5], known[2], known[6]), where)
        elif key.strip().startswith("S_rect"):
            for value in known:
                check_number(value, (1.0, 1e6), "size", where)
        values[key.strip()] = known
    return values
