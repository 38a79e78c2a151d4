"""Zip archives of tensors: their members, after a look at whether each is what the archive says."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
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


def read_member(path: Path, info: zipfile.ZipInfo) -> bytearray:
    """Return the bytes of a member of ``stored_members``, read in one piece, since they may be gigabytes.

    Raises:
        EOFError, BadZipFile: it is not whole, or not where the archive says.
    """
    content = bytearray(info.file_size)
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        head = stream.read(_LOCAL)
        name, extra = struct.unpack("<HH", head[26:30])
        if head[:4] != b"PK\x03\x04" or stream.read(name) != info.orig_filename.encode(_coding(info)):
            raise zipfile.BadZipFile("a member that is not where the archive says")
        stream.seek(extra, os.SEEK_CUR)
        if stream.readinto(content) != len(content):
            raise EOFError(info.filename[:40])
    if zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {info.filename[:40]}")
    return content


def _coding(info: zipfile.ZipInfo) -> str:
    """Return how the name of a member is written."""
    return "utf-8" if info.flag_bits & 0x800 else "cp437"
