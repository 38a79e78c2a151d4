"""The two layouts of ``torch.save``: where the pickle lies, and where the bytes of each storage.

A zip archive (since torch 1.6) has the pickle in ``data.pkl`` and every storage in ``data/KEY``; before that it was a
row of pickles in one file, followed by the storages.
"""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from collections.abc import Callable, Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.errors import WeightsError
from kdcli.weights.archive import read_member, stored_members
from kdcli.weights.inert import InertUnpickler

if TYPE_CHECKING:
    import torch

_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that files of the old layout begin with."""

_KINDS = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}

_DTYPES = frozenset(_KINDS.values()) | {
    "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    "float8_e8m0fnu",
}
"""Names of the dtypes that safetensors have too, and complex numbers."""

Opened = tuple[Any, Sequence[str], Callable[[str], bytearray]]
"""The document, the foreign names in it, and what reads the bytes of a storage."""


def open_zip(archive: zipfile.ZipFile, path: Path) -> Opened:
    """Unpickle the document of an archive.

    Raises:
        WeightsError: as ``stored_members``, or written on a machine of the other byte order.
        Exception: of any kind, where it is damaged.
    """
    members = stored_members(archive, path)
    root = next(name.removesuffix("data.pkl") for name in members if f"/{name}".endswith("/data.pkl"))
    order = members.get(f"{root}byteorder")
    if order is not None and read_member(path, order).decode() != sys.byteorder:
        raise WeightsError(f"'{path}' was written on a machine of the other byte order; save it as safetensors there")
    content = read_member(path, members[f"{root}data.pkl"])
    unpickler = InertUnpickler(io.BytesIO(content))
    document = unpickler.load()

    def read_storage(key: str) -> bytearray:
        info, stored = members[f"{root}data/{key}"], unpickler.stored[key]
        if info.file_size != stored.numel * _width(stored.kind):
            raise EOFError(f"storage {key[:20]} has {info.file_size} bytes for {stored.numel} numbers")
        return read_member(path, info)

    return document, unpickler.foreign, read_storage


def open_old(stream: BufferedReader, path: Path) -> Opened:
    """Unpickle the document of a file of the old layout.

    Raises:
        WeightsError: a pickle of something else, or written on a machine of the other byte order.
        Exception: of any kind, where it is damaged.
    """
    total = path.stat().st_size
    if InertUnpickler(stream).load() != _MAGIC:
        raise WeightsError(f"'{path}' is a pickle, but not one of torch.save; save its state dict with torch")
    InertUnpickler(stream).load()  # version
    system = InertUnpickler(stream).load()
    if isinstance(system, dict) and system.get("little_endian", True) != (sys.byteorder == "little"):
        raise WeightsError(f"'{path}' was written on a machine of the other byte order; save it as safetensors there")
    unpickler = InertUnpickler(stream)
    document = unpickler.load()
    places: dict[str, tuple[int, int]] = {}
    for key in map(str, InertUnpickler(stream).load()):
        (numel,) = struct.unpack("<q", stream.read(8))
        stored = unpickler.stored[key]
        begin, length = stream.tell(), numel * _width(stored.kind)
        if numel != stored.numel or numel < 0 or begin + length > total or key in places:
            raise EOFError(f"storage {key[:20]} does not fit")
        places[key] = begin, length
        stream.seek(begin + length)

    def read_storage(key: str) -> bytearray:
        begin, length = places[key]
        stream.seek(begin)
        content = bytearray(length)
        if stream.readinto(content) != length:
            raise EOFError(key)
        return content

    return document, unpickler.foreign, read_storage


def _width(kind: str) -> int:
    """Return the bytes of one element of a storage class."""
    return dtype_of(kind).itemsize


def dtype_of(kind: Any) -> torch.dtype:
    """Return the dtype of a storage class's name, or of the stand-in for a dtype."""
    import torch

    name = kind if isinstance(kind, str) else str(getattr(kind, "origin", "")).removeprefix("torch.")
    known = _KINDS.get(name, name)
    # Only names of the list are looked up: some others make torch import more of itself.
    found = getattr(torch, known, None) if known in _DTYPES else None
    if not isinstance(found, torch.dtype):
        raise WeightsError(f"it holds tensors of a sort that cannot be converted ({name or 'of no name'})")
    return found
