"""Where the members of an uncompressed tar are, so that each is read by itself without unpacking any."""

from __future__ import annotations

import hashlib
import tarfile
from array import array
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path

from kdcli.errors import DataError
from kdcli.rasters.guards import must_exist
from kdcli.rasters.places import Member

_PACKED = {b"\x1f\x8b": "gzip -d", b"BZh": "bzip2 -d", b"\xfd7zXZ": "xz -d", b"\x28\xb5\x2f\xfd": "zstd -d"}
"""How compressed files begin, and what unpacks them."""


_BLOCK = 512
"""Bytes that a header has, and of which what a member takes is a multiple."""


class TarIndex:
    """The plain files of an archive by name, with or without ``./`` in front.

    Of each member a number made of its name, its offset and its size are kept, 24 bytes: archives have hundreds of
    thousands of members with long names.
    """

    def __init__(self, archive: Path, members: dict[int, tuple[int, int]]) -> None:
        self.archive = archive
        self._keys = array("Q", sorted(members))
        self._offsets = array("q", (members[key][0] for key in self._keys))
        self._sizes = array("q", (members[key][1] for key in self._keys))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, name: str) -> Member | None:
        """Return a member, or None where the archive has none of that name."""
        key = _key(name)
        place = bisect_left(self._keys, key)
        if place == len(self._keys) or self._keys[place] != key:
            return None
        return Member(self.archive, name, self._offsets[place], self._sizes[place])


def tar_index(archive: Path) -> TarIndex:
    """Return where the members of an uncompressed tar are; in one process an archive is read through once.

    Raises:
        DataError: no tar, a compressed one, or a truncated one.
    """
    must_exist(archive)
    said = archive.stat()
    return _index(archive, said.st_size, said.st_mtime_ns)


@lru_cache(maxsize=16)
def _index(archive: Path, size: int, _changed: int) -> TarIndex:
    with archive.open("rb") as stream:
        head = stream.read(8)
    tool = next((tool for mark, tool in _PACKED.items() if head.startswith(mark)), None)
    if tool is not None:
        raise DataError(f"'{archive}' is compressed, so that no member can be read by itself; unpack it, or run {tool} "
                        "to have it as a plain tar")
    members: dict[int, tuple[int, int]] = {}
    end = 0
    try:
        with tarfile.open(archive, "r:") as tar:
            for info in tar:
                if info.isreg() and not info.issparse():
                    members[_key(info.name)] = (info.offset_data, info.size)
                elif info.islnk() and (same := members.get(_key(info.linkname))) is not None:
                    members[_key(info.name)] = same
                end = info.offset_data + -(-info.size // _BLOCK) * _BLOCK
                tar.members = []  # type: ignore[attr-defined]  # else it keeps all of them
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"'{archive}' is no tar or ends within a member ({error}); download it again") from None
    if 0 < size - end < _BLOCK:  # part of a header, which tarfile passes over
        raise DataError(f"'{archive}' ends within the header of a member; download it again")
    return TarIndex(archive, members)


def _key(name: str) -> int:
    """Return 64 bits that a name is told by: two of a million names are alike once in 40 million archives."""
    plain = name.removeprefix("./")
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "surrogateescape"), digest_size=8).digest())
