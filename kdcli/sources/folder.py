"""``folder:DIR``: any folder (or glob) of images, with depth maps from a parallel folder if there is one."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import ClassVar

from kdcli.errors import ConfigError, DataError
from kdcli.files import is_lfs_pointer
from kdcli.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.sources.matching import list_files, match_names, natural_key
from kdcli.sources.pairs import Pair, PairSource, Selection


class FolderSource(PairSource):
    """All images of a folder, a glob such as ``'shots/*_left.png'``, or a single file, in natural order.

    depths: folder of depth maps of the same names (as written, or below the images' folder); images without one have no
    ground truth. scale: stored units per metre, by default 1000 for whole numbers and 1 for floats. recursive: also
    look into sub-folders. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "folder"

    def __init__(
        self, *, location: str, depths: str | None = None, scale: float | None = None, recursive: bool = False,
        start: int = 0, stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        base, images = _images(location, recursive)
        found: dict[str, Path] = {}
        if depths is not None:
            folder = _depth_folder(depths, base)
            if folder != base:  # a depth folder below the images' must not count as images
                images = [path for path in images if folder not in path.parents]
            names = {_name(path, base): path for path in images}
            maps = {_name(path, folder): path for path in list_files(folder, DEPTH_SUFFIXES, recursive=recursive)}
            found = match_names(names, maps)
            if not found:
                example = next(iter(names), "")
                raise DataError(f"none of {len(maps)} depth maps in '{folder}' is named like an image ('{example}')")
        pairs = [
            Pair(id=path.relative_to(base).as_posix(), image=path, depth=found.get(_name(path, base)))
            for path in images
        ]
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=scale, where=location)


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


def _depth_folder(given: str, base: Path) -> Path:
    for folder in (Path(given).expanduser(), base / given):
        if folder.is_dir():
            return folder
    raise DataError(f"depth folder '{given}' exists neither as written nor in '{base}'; check depths=")


def _name(path: Path, base: Path) -> str:
    return path.relative_to(base).with_suffix("").as_posix()
