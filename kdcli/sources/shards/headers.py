"""Where each file lies in an uncompressed tar: read in one pass over its headers, and kept for the next time."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kdcli.errors import ConfigError
from kdcli.files import atomic
from kdcli.plugins.memory import cache_folder
from kdcli.rasters import must_exist
from kdcli.rasters.members import members_of

_FOLDER = "shards"
_FEW = 1024
"""Files up to which headers are read again each time, which is as fast as asking for what was kept."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Headers:
    """Files of a tar in its order: where their bytes begin and how many there are."""

    joined: str
    """Names as they stand in it, zeros between them: of a set of many shards, all are in memory at one time."""
    offsets: Sequence[int]
    sizes: Sequence[int]

    @property
    def names(self) -> list[str]:
        """The names of the files."""
        return self.joined.split("\0") if len(self.offsets) else []


def read_headers(archive: Path) -> Headers:
    """Return where the files of an uncompressed tar lie; what was kept of it is used while it has not changed.

    Raises:
        DataError: missing, compressed, truncated or no tar.
    """
    must_exist(archive)
    state = archive.stat()
    stamp = [_VERSION, state.st_size, state.st_mtime_ns]
    kept = _kept_at(archive)
    if kept is not None and (known := _recall(kept, stamp)) is not None:
        return known
    headers = _scan(archive)
    if kept is not None and len(headers.offsets) > _FEW:
        with suppress(OSError):  # what is kept only saves time
            _keep(kept, headers, stamp)
    return headers


def _scan(archive: Path) -> Headers:
    names: list[str] = []
    offsets, sizes = array("Q"), array("Q")
    for found in members_of(archive):
        if found.link is None and "\0" not in found.name:
            names.append(found.name)
            offsets.append(found.offset)
            sizes.append(found.size)
    return Headers("\0".join(names), offsets, sizes)


def _kept_at(archive: Path) -> Path | None:
    with suppress(ConfigError):  # a user without a home keeps nothing
        name = hashlib.sha256(str(archive.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return cache_folder() / _FOLDER / f"{name}.npz"
    return None


def _recall(path: Path, stamp: list[int]) -> Headers | None:
    """Return what was kept, None where it is none, is of another state of the archive, or is damaged."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            if kept["stamp"].tolist() != stamp:
                return None
            joined = kept["names"].tobytes().decode("utf-8", "surrogateescape")
            offsets, sizes = (array("Q", kept[key].astype(np.uint64).tobytes()) for key in ("offsets", "sizes"))
    except Exception:  # what numpy raises for a damaged file has no common base; it is made again
        return None
    whole = joined.count("\0") + 1 == len(offsets) == len(sizes)
    return Headers(joined, offsets, sizes) if whole else None


def _keep(path: Path, headers: Headers, stamp: list[int]) -> None:
    names = np.frombuffer(headers.joined.encode("utf-8", "surrogateescape"), np.uint8)
    with atomic(path) as draft, draft.open("wb") as stream:
        np.savez(
            stream, stamp=np.array(stamp), names=names, offsets=np.array(headers.offsets, np.uint64),
            sizes=np.array(headers.sizes, np.uint64),
        )
