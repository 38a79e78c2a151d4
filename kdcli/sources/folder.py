"""``folder:DIR``: any folder (or glob) of images, with depth and object ids from parallel folders or a COCO file."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home, is_lfs_pointer
from kdcli.images import IMAGE_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.sources.coco import CocoFile, read_coco
from kdcli.sources.encoding import said_encoding
from kdcli.sources.file_names import ending_of, name_of, natural_order, prefix_of
from kdcli.sources.listed import about_listed, only_listed
from kdcli.sources.listing import data_files, list_files, list_paths
from kdcli.sources.matching import below, twins
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairing.maps import Maps, What, about_predictions, find_maps
from kdcli.sources.pairing.unread import endings_of
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.panoptic import PanopticFile, pictures_of
from kdcli.sources.roles import MASK_WORDS, Role, bare, called
from kdcli.sources.table.pair_table import Rows
from kdcli.text import agreeing
from kdcli.types import Finding

if TYPE_CHECKING:
    from torch import Tensor


class FolderSource(PairSource):
    """All images of a folder, a glob such as ``'shots/*_left.png'``, or a single file, in natural order.

    depths: folder of depth maps of the same names but for role words such as ``rgb`` and ``depth`` (as written, or
    below the images' folder; ``.`` is that folder itself); images without one have no ground truth. scale: stored units
    per metre, by default 1000 for whole numbers and 1 for floats. codec: how depth is stored, a row of the table of
    encodings such as ``kitti`` or ``sunrgbd``. focal: pixels, of all images; lengths of rays are turned by it.
    focal_baseline: pixels times metres, which disparity is turned by; doffs: pixels added to it first (Middlebury).
    max_depth: metres beyond which depth is no measurement. instances: folder of object ids of the same names:
    numbers of 8 or 16 bits, a palette, or one colour an object (black: none). void: a stored id that means no object
    beside 0, such as 255 in Pascal VOC. coco: an instance file in COCO's format instead, by the images' names; or a
    panoptic one, whose pictures are in the folder of its name beside it or in instances.
    list: a list file, as written or below the folder, of the images to use. recursive: also look into sub-folders.
    start, stop, every, count, seed: as in ``Selection``.

    A folder without images of its own that has them in ``images`` beside ``instances`` or ``depth``, as ``kdcli mix``
    writes them, is taken as a whole.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "folder"

    def __init__(
        self, *, location: str, depths: str | None = None, scale: float | None = None, codec: str | None = None,
        focal: float | None = None, focal_baseline: float | None = None, doffs: float = 0.0,
        max_depth: float | None = None, instances: str | None = None, void: int | None = None,
        coco: str | None = None, list: str | None = None, recursive: bool = False, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        self.encoding = encoding = said_encoding(
            codec, focal=focal, focal_baseline=focal_baseline, doffs=doffs, max_depth=max_depth
        )
        if void is not None and coco is not None:
            raise ConfigError(f"void={void} is an id of instances=DIR; coco= has none")
        place = location
        if location and (parts := _mixed_set(at_home(location))):
            place = str(parts["images"])
            depths = str(parts["depth"]) if depths is None and "depth" in parts else depths
            if instances is None and coco is None and "instances" in parts:
                instances = str(parts["instances"])
        left = LeftOut()
        base, images = _images(place, recursive, left)
        found: dict[What, Maps] = {}
        pictures = instances if coco is None else None
        wanted: tuple[tuple[What, str | None], ...] = (("depths", depths), ("instances", pictures))
        for what, given in wanted:
            if given:
                found[what] = find_maps(what, given, base, images, recursive, left, encoding)
                images = found[what].images
        predicted = found["depths"].predicted if "depths" in found else ()
        columns = _columns(images, found)
        rows = Rows()
        rows.add(len(images), ids=len(prefix_of(base)), **columns)
        if not at_home(place).is_dir():
            left.depths.clear()  # of a choice of images many maps have none
        left.twins = twins(images)
        used = (path for column in columns.values() for path in column)
        notes = [*left.without(used).findings(), *about_predictions(predicted)]
        self.void = void
        self._coco: CocoFile | PanopticFile | None = None
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(
            only_listed(rows.table(), list, base), selection=selection, scale=scale, where=location,
            notes=[*notes, *_called_maps(images, base), *about_listed(list, base)],
        )
        if coco is not None:
            self._open(coco, base, instances)

    def _open(self, given: str, base: Path, instances: str | None) -> None:
        path = next((path for path in (at_home(given), base / given) if path.is_file()), None)
        if path is None:
            raise DataError(f"coco file '{given}' exists neither as written nor in '{base}'; check coco=")
        written = read_coco(path)
        if instances is not None and not written.panoptic:
            raise ConfigError(f"instances={instances} and coco={given} both name the objects; give one of them")
        if written.panoptic:
            folder = pictures_of(path) if instances is None else at_home(instances)
            self._coco = PanopticFile(written, folder)
        else:
            self._coco = CocoFile(written)
        self._listed = self._coco.match(pair.id for pair in self.pairs)
        if not self._listed:
            raise DataError(f"none of the images is named in '{path}', such as '{self.pairs[0].id}'; check coco=")
        self._coco.keep(self._listed.values())
        self.has_instances = True

    def instances(self, pair: Pair) -> Tensor | None:
        """Return the object ids of a pair from its file, or from the COCO file.

        Raises:
            DataError: they cannot be read.
        """
        if self._coco is None:
            return super().instances(pair)
        return self._coco.ids(self._listed[pair.id]) if pair.id in self._listed else None

    def remarks(self) -> Sequence[Finding]:
        """Say how the pairs were found, and which images and annotations of a COCO file give no objects."""
        if self._coco is None:
            return super().remarks()
        coco, path = self._coco, str(self._coco.path)
        absent = [pair.id for pair in self.pairs if pair.id not in self._listed]
        said = (
            *coco.remarks(),
            ("warning", len(absent), f"images are not listed, such as '{''.join(absent[:1])}'; they have no objects"),
        )
        about = [
            Finding(level=level, message=f"'{path}': {agreeing(count, text)}", path=path)
            for level, count, text in said if count
        ]
        return [*super().remarks(), *about]


def _mixed_set(root: Path) -> dict[str, Path]:
    """Return the folders of a set in one folder: ``images`` and what is beside it; none if it has images itself."""
    parts = {name: root / name for name in ("images", "instances", "depth") if (root / name).is_dir()}
    if len(parts) < 2 or "images" not in parts or list_files(root, IMAGE_SUFFIXES):
        return {}
    return parts


def _columns(images: list[str], found: Mapping[What, Maps]) -> dict[str, Sequence[str | None]]:
    """Return images and the maps of each."""
    columns: dict[str, Sequence[str | None]] = {"image": images}
    if (depth := found.get("depths")) is not None:
        columns["depth"] = [depth.of.get(path) for path in images]
        if depth.masks:
            columns["mask"] = [None if path is None else depth.masks.get(path) for path in columns["depth"]]
    if (ids := found.get("instances")) is not None:
        columns["instances"] = [ids.of.get(path) for path in images]
    return columns


def _images(location: str, recursive: bool, left: LeftOut) -> tuple[Path, list[str]]:
    """Return the folder that names are relative to, and the images."""
    path = at_home(location)
    if not location:
        raise ConfigError("folder: lacks the folder; write folder:DIR")
    if path.is_dir():
        base, images = path, list_paths(path, IMAGE_SUFFIXES, recursive=recursive, own=left.own)
    elif path.is_file():
        base, images = path.parent, [str(path)]
    elif glob.has_magic(location):
        hits = [str(Path(hit)) for hit in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - also absolute patterns
        files = [hit for hit in hits if ending_of(hit) in IMAGE_SUFFIXES and os.path.isfile(hit)]  # noqa: PTH113
        images = natural_order(data_files(files, left.own))
        base = _common(images)
    else:
        raise DataError(f"'{location}' does not exist; check the path, or give a pattern such as 'DIR/*.png'")
    if not images:
        raise DataError(f"'{location}' has no images{_instead(path, recursive, left)}")
    if all(is_lfs_pointer(Path(image)) for image in images):
        raise DataError(f"'{location}' has only Git LFS pointers, no images; run 'git lfs pull' in that repository")
    return base, images


def _instead(path: Path, recursive: bool, left: LeftOut) -> str:
    """Say what a folder without images has, and what to do."""
    endings = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
    if left.own:
        return f" but what kdcli predict wrote, such as '{left.own[0]}'; give the folder of photographs"
    held = endings_of(list_paths(path, None, recursive=recursive)) if path.is_dir() else ""
    holds = f", it holds {held}" if held else ""
    deeper = "" if recursive or not path.is_dir() else "; sub-folders are searched with recursive=true"
    return f" ({endings}){holds}{deeper}"


def _common(images: list[str]) -> Path:
    """Return the folder that holds all images, below it or in it."""
    folders = {image[: len(image) - len(name_of(image))] for image in images}
    parents = [Path(folder) for folder in folders]
    if not parents:
        return Path()
    return next(p for p in (parents[0], *parents[0].parents) if all(p == q or p in q.parents for q in parents))


def _called_maps(images: Sequence[str], base: Path) -> list[Finding]:
    """Say which images are called like the map of another image, and so are probably none."""
    doubtful = called(images, (Role.DEPTH, Role.DISPARITY, Role.MASK))
    if not doubtful:
        return []
    root, others = prefix_of(base), set(doubtful)
    names = {bare(below(path, root)) for path in images if path not in others}
    maps = [path for path in doubtful if bare(below(path, root), also=MASK_WORDS) in names]
    if not maps:
        return []
    words = f"images are called like the depth map or mask of another image, such as '{maps[0]}'"
    message = f"{agreeing(len(maps), words)}; if that is meant, give depths=. to pair them, else move them away"
    return [Finding(level="warning", message=message, path=maps[0])]
