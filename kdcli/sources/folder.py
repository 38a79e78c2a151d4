"""``folder:DIR``: any folder (or glob) of images, with depth and object ids from parallel folders or a COCO file."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from kdcli.errors import ConfigError, DataError
from kdcli.files import is_lfs_pointer
from kdcli.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.sources.coco import CocoFile
from kdcli.sources.instances import INSTANCE_SUFFIXES
from kdcli.sources.matching import list_files, match_names, natural_key
from kdcli.sources.pairs import Pair, PairSource, Selection
from kdcli.types import Finding

if TYPE_CHECKING:
    from torch import Tensor


class FolderSource(PairSource):
    """All images of a folder, a glob such as ``'shots/*_left.png'``, or a single file, in natural order.

    depths: folder of depth maps of the same names (as written, or below the images' folder); images without one have no
    ground truth. scale: stored units per metre, by default 1000 for whole numbers and 1 for floats. instances: folder
    of object ids of the same names: numbers of 8 or 16 bits, a palette, or one colour an object (black: none). void: a
    stored id that means no object beside 0, such as 255 in Pascal VOC. coco: an instance file in COCO's format instead,
    by the images' names. recursive: also look into sub-folders. start, stop, every, count, seed: as in ``Selection``.

    A folder without images of its own that has them in ``images`` beside ``instances`` or ``depth``, as ``kdcli mix``
    writes them, is taken as a whole.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "folder"

    def __init__(
        self, *, location: str, depths: str | None = None, scale: float | None = None, instances: str | None = None,
        void: int | None = None, coco: str | None = None, recursive: bool = False, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        if instances is not None and coco is not None:
            raise ConfigError(f"instances={instances} and coco={coco} both name the objects; give one of them")
        if void is not None and coco is not None:
            raise ConfigError(f"void={void} is an id of instances=DIR; coco= has none")
        place = location
        if location and (parts := _mixed_set(Path(location).expanduser())):
            place = str(parts["images"])
            depths = str(parts["depth"]) if depths is None and "depth" in parts else depths
            if instances is None and coco is None and "instances" in parts:
                instances = str(parts["instances"])
        base, images = _images(place, recursive)
        beside = {
            what: _beside(what, given, base) for what, given in (("depths", depths), ("instances", instances)) if given
        }
        # A folder of maps below the images' must not count as images.
        images = [path for path in images if not any(f != base and f in path.parents for f in beside.values())]
        names = {_name(path, base): path for path in images}
        found = {
            what: _maps(what, names, folder, recursive) if (folder := beside.get(what)) is not None else {}
            for what in ("depths", "instances")
        }
        pairs = [
            Pair(
                id=path.relative_to(base).as_posix(), image=path, depth=found["depths"].get(_name(path, base)),
                instances=found["instances"].get(_name(path, base)),
            )
            for path in images
        ]
        self.void = void
        self._coco: CocoFile | None = None
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=scale, where=location)
        if coco is not None:
            self._open(coco, base)

    def _open(self, given: str, base: Path) -> None:
        path = next((path for path in (Path(given).expanduser(), base / given) if path.is_file()), None)
        if path is None:
            raise DataError(f"coco file '{given}' exists neither as written nor in '{base}'; check coco=")
        self._coco = CocoFile(path)
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
        """Say which images and annotations of a COCO file give no objects."""
        if self._coco is None:
            return ()
        coco, path = self._coco, str(self._coco.path)
        absent = [pair.id for pair in self.pairs if pair.id not in self._listed]
        said = (
            ("warning", coco.broken, "annotations are not of COCO's form and left out; write the file again"),
            ("info", coco.boxes, "annotations have no mask (segmentation) and are left out"),
            ("info", coco.crowds, "annotations are crowds, several objects in one, and left out"),
            ("warning", len(absent), f"images are not listed, such as '{''.join(absent[:1])}'; they have no objects"),
        )
        return [
            Finding(level=level, message=f"'{path}': {count} {text}", path=path) for level, count, text in said if count
        ]


def _mixed_set(root: Path) -> dict[str, Path]:
    """Return the folders of a set in one folder: ``images`` and what is beside it; none if it has images itself."""
    parts = {name: root / name for name in ("images", "instances", "depth") if (root / name).is_dir()}
    if len(parts) < 2 or "images" not in parts or list_files(root, IMAGE_SUFFIXES):
        return {}
    return parts


def _images(location: str, recursive: bool) -> tuple[Path, list[Path]]:
    """Return the folder that names are relative to, and the images."""
    path = Path(location).expanduser()
    if not location:
        raise ConfigError("folder: lacks the folder; write folder:DIR")
    if path.is_dir():
        base, images = path, list_files(path, IMAGE_SUFFIXES, recursive=recursive)
    elif path.is_file():
        base, images = path.parent, [path]
    elif glob.has_magic(location):
        hits = [Path(hit) for hit in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - also absolute patterns
        images = [hit for hit in hits if hit.suffix.lower() in IMAGE_SUFFIXES and hit.is_file()]
        images.sort(key=lambda hit: natural_key(hit.as_posix()))
        base = _common(images)
    else:
        raise DataError(f"'{location}' does not exist; check the path, or give a pattern such as 'DIR/*.png'")
    if not images:
        endings = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        deeper = "" if recursive or not path.is_dir() else "; sub-folders are searched with recursive=true"
        raise DataError(f"'{location}' has no images ({endings}){deeper}")
    if all(is_lfs_pointer(image) for image in images):
        raise DataError(f"'{location}' has only Git LFS pointers, no images; run 'git lfs pull' in that repository")
    return base, images


def _common(images: list[Path]) -> Path:
    parents = [image.parent for image in images]
    if not parents:
        return Path()
    return next(p for p in (parents[0], *parents[0].parents) if all(p == q or p in q.parents for q in parents))


def _beside(what: str, given: str, base: Path) -> Path:
    for folder in (Path(given).expanduser(), base / given):
        if folder.is_dir():
            return folder
    kind = "depth" if what == "depths" else "instance"
    raise DataError(f"{kind} folder '{given}' exists neither as written nor in '{base}'; check {what}=")


def _maps(what: str, names: dict[str, Path], folder: Path, recursive: bool) -> dict[str, Path]:
    """Return the maps of a folder by the names of their images."""
    endings = DEPTH_SUFFIXES if what == "depths" else INSTANCE_SUFFIXES
    maps = {_name(path, folder): path for path in list_files(folder, endings, recursive=recursive)}
    found = match_names(names, maps)
    if not found:
        kind = "depth maps" if what == "depths" else "maps of object ids"
        example = next(iter(names), "")
        raise DataError(f"none of {len(maps)} {kind} in '{folder}' is named like an image ('{example}')")
    return found


def _name(path: Path, base: Path) -> str:
    return path.relative_to(base).with_suffix("").as_posix()
