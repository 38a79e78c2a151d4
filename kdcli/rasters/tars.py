"""Where the members of an uncompressed tar are, so that each is read by itself without unpacking any."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tarfile import BLOCKSIZE

from kdcli.rasters.guards import must_exist
from kdcli.rasters.members import members_of
from kdcli.rasters.places import Member


class TarIndex:
    """The plain files of an archive by name, with or without ``./`` in front.

    Of each member a number made of its name, its offset in blocks and its size are kept, 16 bytes: archives have
    hundreds of thousands of members with long names.
    """

    def __init__(self, archive: Path, members: dict[int, tuple[int, int]]) -> None:
        self.archive = archive
        self._keys = array("Q", sorted(members))
        self._blocks = _array([members[key][0] // BLOCKSIZE for key in self._keys])
        self._sizes = _array([members[key][1] for key in self._keys])

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, name: str) -> Member | None:
        """Return a member, or None where the archive has none of that name."""
        key = _key(name)
        place = bisect_left(self._keys, key)
        if place == len(self._keys) or self._keys[place] != key:
            return None
        return Member(self.archive, name, self._blocks[place] * BLOCKSIZE, self._sizes[place])


def tar_index(archive: Path) -> TarIndex:
    """Return where the members of an uncompressed tar are; in one process an archive is read through once.

    Raises:
        DataError: no tar, a compressed one, or a truncated one.
    """
    must_exist(archive)
    said = archive.stat()
    return _index(archive, said.st_size, said.st_mtime_ns)


@lru_cache(maxsize=16)
def _index(archive: Path, _size: int, _changed: int) -> TarIndex:
    members: dict[int, tuple[int, int]] = {}
    for found in members_of(archive):
        if found.link is None:
            members[_key(found.name)] = (found.offset, found.size)
        elif (same := members.get(_key(found.link))) is not None:
            members[_key(found.name)] = same
    return TarIndex(archive, members)


def _key(name: str) -> int:
    """Return 64 bits that a name is told by: two of a million names are alike once in 40 million archives."""
    plain = name.removeprefix("./")
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "surrogateescape"), digest_size=8).digest())


def _array(numbers: Sequence[int]) -> array[int]:
    """Return numbers in four bytes each where all fit."""
    return array("I" if max(numbers, default=0) < 1 << 32 else "Q", numbers)
