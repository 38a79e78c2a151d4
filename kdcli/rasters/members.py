"""The members of an uncompressed tar, read in one pass over its headers."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kdcli.errors import DataError
from kdcli.rasters.guards import must_exist

_PACKED = {b"\x1f\x8b": "gzip -d", b"BZh": "bzip2 -d", b"\xfd7zXZ": "xz -d", b"\x28\xb5\x2f\xfd": "zstd -d"}
"""How compressed files begin, and what unpacks them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A plain file in a tar, where its bytes begin and how many there are; or a hard link to an earlier file."""

    name: str
    offset: int
    size: int
    link: str | None = None


def members_of(archive: Path) -> Iterator[Found]:
    """Yield the plain files of a tar in its order, and hard links to them; sparse files, folders and the rest are not.

    Raises:
        DataError: missing, compressed, truncated or no tar.
    """
    must_exist(archive)
    with archive.open("rb") as stream:
        head = stream.read(8)
    tool = next((tool for mark, tool in _PACKED.items() if head.startswith(mark)), None)
    if tool is not None:
        raise DataError(f"'{archive}' is a compressed tar, in which no member can be read by itself; unpack it, or run "
                        f"{tool} to have it as a plain tar; images in it are compressed as they are")
    end = 0
    try:
        with tarfile.open(archive, "r:") as tar:
            while (info := tar.next()) is not None:
                if info.isreg() and not info.issparse():
                    yield Found(info.name, info.offset_data, info.size)
                elif info.islnk():
                    yield Found(info.name, info.offset_data, info.size, info.linkname)
                end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise DataError(f"'{archive}' is no tar or ends within a member ({reason}); download it again") from None
    if 0 < archive.stat().st_size - end < tarfile.BLOCKSIZE:  # part of a header, which tarfile passes over
        raise DataError(f"'{archive}' ends within the header of a member; download it again")
