"""Zip archives of tensors: their members, after a look at whether each is what the archive says."""

from __future__ import annotations

import zipfile
from pathlib import Path

from kdcli.errors import WeightsError

_LOCAL = 30
"""Bytes before the name of a member."""


def stored_members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members of an archive by name, none of them larger than what lies in the file.

    Raises:
        WeightsError: two members of one name, one that is compressed or encrypted, that does not lie within the file
            or shares bytes with another. torch.save writes none of these.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        name = info.filename
        reason = None
        if name in members:
            reason = "is in it twice"
        elif info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            reason = "is compressed"
        elif info.flag_bits & 1:
            reason = "is encrypted"
        elif info.header_offset < end:
            reason = "shares bytes with another"
        end = info.header_offset + _LOCAL + len(name) + info.compress_size
        if end > archive.start_dir:
            reason = reason or "is larger than the file"
        if reason:
            raise WeightsError(
                f"'{path}' is damaged or was not written by torch.save: '{name[:80]}' {reason}; get the file again"
            )
        members[name] = info
    return members


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytearray:
    """Return the bytes of a member of ``stored_members``, whose checksum is compared."""
    content = bytearray(info.file_size)
    with archive.open(info) as stream:
        view, done = memoryview(content), 0
        while done < len(content):
            got = stream.readinto(view[done : done + (1 << 24)])  # type: ignore[attr-defined]
            if not got:
                raise EOFError(info.filename)
            done += got
        if stream.read(1):
            raise zipfile.BadZipFile("more bytes than announced")
    return content
