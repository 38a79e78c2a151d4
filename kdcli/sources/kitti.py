"""``kitti:ROOT``: KITTI raw images with the annotated depth of the depth benchmark, 16 bit at 256 units a metre."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar, Literal

from kdcli.errors import DataError
from kdcli.protocols import API_VERSION
from kdcli.sources.cuts import KITTI_BENCHMARK
from kdcli.sources.lists import LIST_PATTERN, Line, Locator, existing_root, find_list, read_list, require_some
from kdcli.sources.matching import natural_key
from kdcli.sources.pairs import Pair, PairSource, Selection

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
        lines = _scan(raw, annotated, root) if path is None else read_list(path)
        where_image, where_depth = Locator(raw), Locator(annotated)
        pairs = [
            Pair(
                id=line.image.lstrip("/"), image=where_image(line.image), focal=line.focal,
                depth=None if line.depth is None else where_depth(line.depth),
            )
            for line in lines
            if gt == "all" or line.depth is not None
        ]
        if not pairs:
            raise DataError(f"'{path or location}' has no frame with ground truth; leave out gt=only or give depths=")
        if not pairs[0].image.exists() and pairs[0].image.with_suffix(".jpg").exists():
            pairs = [_as_jpg(pair) for pair in pairs]  # many keep the raw images converted to save space
        require_some(pairs, root, "images=DIR or depths=DIR")
        self._calibrations: dict[Path, dict[str, tuple[float, ...]]] = {}
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=scale, where=location)
        self.cut = KITTI_BENCHMARK if crop == "kb" else None

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the rectified camera of the recording, scaled to the image, else the list's focal length and centre.

        Raises:
            DataError: a calibration file that cannot be read.
        """
        match = _CAMERA.search(pair.image.as_posix())
        day = next((parent for parent in pair.image.parents if _DATED.fullmatch(parent.name)), None)
        if match is None or day is None:
            return super().camera(pair, height, width)
        if day not in self._calibrations:
            self._calibrations[day] = _calibration(day / "calib_cam_to_cam.txt")
        values = self._calibrations[day]
        projection, size = values.get(f"P_rect_{match[1]}", ()), values.get(f"S_rect_{match[1]}", ())
        if len(projection) != 12:
            return super().camera(pair, height, width)
        across, down = (width / size[0], height / size[1]) if len(size) == 2 else (1.0, 1.0)
        return projection[0] * across, projection[5] * down, projection[2] * across, projection[6] * down


def _as_jpg(pair: Pair) -> Pair:
    return Pair(id=pair.id, image=pair.image.with_suffix(".jpg"), depth=pair.depth, focal=pair.focal)


def _below(root: Path, given: str) -> Path:
    for path in (Path(given).expanduser(), root / given):
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
            names = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError:  # a folder that we may not read holds nothing for us
        return []
    return [parent / name for name in sorted(names) if not _DATED.match(name)]


def _scan(raw: list[Path], annotated: list[Path], root: Path) -> list[Line]:
    """List every frame of camera 2 as if a list named it, with the ground truth that exists.

    Raises:
        DataError: there is no recording.
    """
    locate = Locator(annotated)
    lines = []
    for base in raw:
        frames = [*base.glob("*/*_sync/image_02/data/*.png"), *base.glob("*/*_sync/image_02/data/*.jpg")]
        for frame in sorted(frames, key=lambda path: natural_key(path.as_posix())):
            depth = f"{frame.parents[2].name}/proj_depth/groundtruth/image_02/{frame.stem}.png"
            known = depth if locate(depth).exists() else None
            lines.append(Line(image=frame.relative_to(base).as_posix(), depth=known, focal=None))
        if lines:
            return lines
    raise DataError(
        f"'{root}' has no list {LIST_PATTERN} and no DATE/DRIVE_sync/image_02/data below it; "
        "give list=FILE, images=DIR or the right folder"
    )


def _calibration(path: Path) -> dict[str, tuple[float, ...]]:
    """Read ``key: numbers`` lines; an absent file gives none, lines that are not numbers are skipped.

    Raises:
        DataError: the file cannot be read.
    """
    if not path.is_file():
        return {}
    values = {}
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"calibration '{path}' cannot be read; download it again or remove it") from None
    for row in rows:
        key, _, numbers = row.partition(":")
        try:
            values[key.strip()] = tuple(float(number) for number in numbers.split())
        except ValueError:  # the date of the calibration
            continue
    return values
