"""``moge:ROOT``: folders of one image each as MoGe is trained on, with logarithmic depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of
from kdcli.sources.lists import existing_root
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.by_rule import names_below
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.sets.sixteen_bit_source import SixteenBitSource
from kdcli.sources.texts.lines import check_name
from kdcli.sources.texts.numbers import check_camera, read_lines

_IMAGES = ("image.jpg", "image.png", "image.jpeg", "image.webp")
_LISTS = (".index.txt", ".train.txt", ".val.txt")


class MogeSource(SixteenBitSource):
    """Folders of ``image.jpg``, ``depth.png``, ``meta.json`` that ``.index.txt``, ``.train.txt`` or ``.val.txt`` names.

    split: which of the lists, by default the first there is; without any all folders below ROOT that hold an image and
    a depth map. A PNG without its text chunks ``near`` and ``far`` is refused; 0 is unknown and 65535 infinitely far,
    neither of which is a measurement. max_depth: metres beyond which depth is left out. start, stop, every, count,
    seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "moge"
    codec = CODECS["moge"]

    def __init__(
        self, *, location: str, split: Literal["index", "train", "val"] | None = None, max_depth: float | None = None,
        start: int = 0, stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        path = _find(root, split)
        folders = _scan(root) if path is None else _listed(path)
        if not folders:
            raise DataError(f"'{path or root}' names no folder with image.jpg and depth.png; give the right folder")
        # All of a set are written by one tool: the first tells how the images are called.
        picture = next((name for name in _IMAGES if (root / folders[0] / name).is_file()), _IMAGES[0])
        pairs = [
            Pair(id=folder, image=root / folder / picture, depth=root / folder / "depth.png") for folder in folders
        ]
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location)
        self.furthest = distance(max_depth)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the camera of ``meta.json``, which is in shares of width and height, or None where there is none.

        Raises:
            DataError: its numbers are no camera.
        """
        path = file_of(pair.image).parent / "meta.json"
        known = _read_meta(path) if path.is_file() else {}
        if "intrinsics" not in known:
            return None
        rows: Any = known["intrinsics"]
        try:
            (fx, _, cx), (_, fy, cy) = ([float(value) for value in row] for row in rows[:2])
        except (TypeError, ValueError, KeyError):
            raise DataError(f"'{path}' has intrinsics that are no 3 x 3 numbers; correct it or remove it") from None
        # Its centre counts from the corner of the first pixel (utils3d.normalize_intrinsics), ours from its middle.
        return check_camera((fx * width, fy * height, cx * width - 0.5, cy * height - 0.5), f"'{path}'")


def _read_meta(path: Path) -> dict[str, Any]:
    """Return what ``meta.json`` holds.

    Raises:
        DataError: it is no JSON object.
    """
    try:
        known: Any = json.loads("\n".join(read_lines(path, "JSON")))
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise DataError(f"'{path}' is no JSON object, so nothing tells the camera; download it again or remove it")
    return known


def _find(root: Path, split: str | None) -> Path | None:
    names = _LISTS if split is None else (f".{split}.txt",)
    found = next((root / name for name in names if (root / name).is_file()), None)
    if split is not None and found is None:
        raise DataError(f"'{root}' has no list '{names[0]}'; leave split out to take what is there")
    return found


def _listed(path: Path) -> list[str]:
    folders = []
    for number, line in enumerate(read_lines(path, "folders, one a line"), 1):
        if folder := line.strip().replace("\\", "/").rstrip("/"):
            check_name(folder, f"'{path}' line {number}")
            if folder.startswith("/") or ".." in folder.split("/"):
                raise DataError(f"'{path}' line {number} is '{folder[:60]}', which lies outside of its folder; write "
                                "paths below it")
            folders.append(folder)
    return folders


def _scan(root: Path) -> list[str]:
    split = [name.rpartition("/") for name in names_below(root, {".png", ".jpg", ".jpeg", ".webp"})]
    images = {folder for folder, _, name in split if name in _IMAGES}
    return [folder for folder, _, name in split if name == "depth.png" and folder in images]
