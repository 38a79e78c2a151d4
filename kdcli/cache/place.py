"""Where maps are kept: ``auto``, a folder, or a folder in the authors' layout; and whether they fit there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from kdcli.cache.authors import MANIFEST, GtKdFolder
from kdcli.cache.folder import CacheFolder
from kdcli.cache.identity import CacheKey
from kdcli.cache.shown import Shown
from kdcli.errors import ConfigError
from kdcli.files import at_home
from kdcli.plugins.memory import cache_folder
from kdcli.spec import parse

AUTHORS = "gt-kd"


class Store(Protocol):
    """A place for the maps of one key."""

    path: Path
    key: CacheKey
    layout: str
    writable: bool

    def look(self, image: Shown) -> Tensor:
        """Return a map, or raise a ``DataError``."""

    def write(self, image: Shown, map_HW: Tensor) -> None:
        """Keep a map."""

    def file(self, image: Shown) -> Path:
        """Return the file of a map."""

    def has(self, name: str) -> bool:
        """Whether a folder that is only read has the map of an image's id."""

    def done(self, data: str, count: int) -> dict[str, Any]:
        """Return how far a source is done."""

    def note(self, data: str, row: dict[str, Any]) -> None:
        """Write down how far a source is done."""

    def bytes_for(self, count: int) -> int:
        """Return the most bytes that so many maps take."""

    def document(self) -> dict[str, Any]:
        """Return what a run's manifest says of it."""


def open_store(where: str, key: CacheKey, *, source: str, alone: bool = True) -> Store:
    """Return the store that ``teacher_cache`` names; nothing is written.

    where: ``auto`` (a folder for each key below the user's cache), a folder, or ``gt-kd:DIR[,max_depth=M]``; a folder
    of 16-bit PNGs whose name begins with ``gt_kd``, or that holds some and no manifest, is in the authors' layout too.
    source: name of the kind of data, which tells the authors' scale. alone: whether the stage has one teacher; each of
    several has a folder of its own below the one that is named, as with ``auto``.

    Raises:
        ConfigError, DataError: the folder does not fit the key.
    """
    if where == "auto":
        return CacheFolder(auto_folder() / f"{_slug(key.spec)}-{key.digest}", key)
    max_depth = None
    folder = at_home(where)
    authors = folder.name.startswith("gt_kd") or (folder / MANIFEST).is_file() or _only_maps(folder)
    if where.startswith(f"{AUTHORS}:"):
        folder, max_depth, authors = *_authors(where), True
    if not alone:
        folder = folder / f"{_slug(key.spec)}-{key.digest}"
    return GtKdFolder(folder, key, max_depth=max_depth, source=source) if authors else CacheFolder(folder, key)


def auto_folder() -> Path:
    """Return where ``auto`` keeps a folder for each key."""
    return cache_folder() / "teachers"


def room_for(stores: Sequence[tuple[Store, int]]) -> None:
    """Check that maps still to be made (a number for each store) fit on the disk.

    Raises:
        ConfigError: they may not.
    """
    wanted = sum(store.bytes_for(count) for store, count in stores)
    if not wanted:
        return
    path = stores[0][0].path.absolute()
    free = shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
    if wanted > free:
        raise ConfigError(
            f"the teacher cache takes up to {wanted / 1e9:.3g} GB and '{path}' has {free / 1e9:.3g} GB free; make "
            "room, name a folder elsewhere (teacher_cache=DIR), or use a smaller size"
        )


def _authors(where: str) -> tuple[Path, float | None]:
    spec = parse(where)
    unknown = [name for name in spec.options if name != "max_depth"]
    text = spec.options.get("max_depth")
    try:
        max_depth = None if text is None else float(text)
    except ValueError:
        max_depth = -1.0
    if not spec.location or unknown or (max_depth is not None and not 0 < max_depth < 1e6):
        raise ConfigError(f"teacher_cache='{where}' is not gt-kd:DIR[,max_depth=METRES]")
    return at_home(spec.location), max_depth


def _only_maps(folder: Path) -> bool:
    """Whether a folder holds PNG files and no manifest of kdcli's."""
    return folder.is_dir() and not (folder / "manifest.json").is_file() and any(folder.glob("*.png"))


def _slug(spec: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", spec)[-40:].strip("-.") or "teacher"
