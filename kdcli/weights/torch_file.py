"""What ``torch.save`` wrote, read with stand-ins: the pickled document, and the bytes of its tensors on demand.

Two layouts exist: a zip archive (since torch 1.6) with the pickle in ``data.pkl`` and every storage in ``data/KEY``;
and before that a row of pickles in one file, followed by the storages.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.errors import WeightsError
from kdcli.weights.inert import Inert, InertUnpickler, Stored

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that files of the old layout begin with."""

_REPEATED = 1 << 26
"""Bytes that a tensor may have beyond those stored, by repeating them: buffers that were expanded."""

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

_TENSORS = frozenset(f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3"))
"""What makes a tensor of a storage, an offset, a size and strides."""

_PARAMETERS = frozenset({
    "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch.nn.parameter.Parameter",
    "torch.autograd.variable.Variable",
})
"""What makes a parameter of a tensor, its first argument."""


class TorchFile(AbstractContextManager["TorchFile"]):
    """An open file of ``torch.save``: ``document`` is what was saved, made of stand-ins; ``tensor`` reads a tensor."""

    def __init__(self, path: Path) -> None:
        """Open a file and unpickle its document.

        Raises:
            WeightsError: not of torch.save, or written on a machine of the other byte order.
            Exception: of any kind, where the file is damaged.
        """
        self._stack = ExitStack()
        with self._stack:
            with path.open("rb") as stream:
                zipped = stream.read(2) == b"PK"
            if zipped:
                self.document, self._bytes = _open_zip(self._stack.enter_context(zipfile.ZipFile(path)), path)
            else:
                self.document, self._bytes = _open_old(self._stack.enter_context(path.open("rb")), path)
            self._stack = self._stack.pop_all()
        self._read: dict[tuple[str, str], Tensor] = {}

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tensor(self, pickled: Inert) -> Tensor:
        """Return the tensor that a stand-in describes (one for which ``is_tensor`` holds), on the CPU.

        Raises:
            WeightsError: of a sort that cannot be read.
            Exception: of any kind, where the file is damaged.
        """
        made = _unwrapped(pickled)
        stored, offset, size, stride, *_ = made.args
        if not isinstance(stored, Stored):
            raise pickle.UnpicklingError("a tensor without a storage")
        # Since torch 2.1 the newest dtypes have untyped storages and name their dtype beside it.
        dtype = made.args[6] if made.origin.endswith("_v3") else stored.kind
        base = self._storage(stored, _dtype(dtype))
        if math.prod(size) > base.numel() and math.prod(size) * base.element_size() > _REPEATED:
            raise pickle.UnpicklingError(f"a tensor of {math.prod(size)} numbers in a storage of {base.numel()}")
        return base.as_strided(size, stride, stored.offset + offset)

    def _storage(self, stored: Stored, dtype: torch.dtype) -> Tensor:
        import torch

        key = stored.key, str(dtype)
        if key not in self._read:
            raw = self._bytes(stored.key)
            self._read[key] = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        return self._read[key]


def is_tensor(pickled: Any) -> bool:
    """Whether a stand-in describes a tensor or parameter."""
    return isinstance(pickled, Inert) and _unwrapped(pickled).origin in _TENSORS


def _unwrapped(pickled: Inert) -> Inert:
    """Return the stand-in of the tensor that a parameter or a tensor of a derived class is made of."""
    for _ in range(8):  # two are usual; a file could nest them without end
        match pickled:
            case Inert(args=(Inert() as inner, *_)) if pickled.origin in _PARAMETERS:
                pickled = inner
            case Inert(origin="torch._tensor._rebuild_from_type_v2", args=(made, _, tuple() as given, *_)) if (
                isinstance(made, type) and issubclass(made, Inert)
            ):
                pickled = made(*given)
            case _:
                break
    return pickled


def _dtype(kind: Any) -> torch.dtype:
    """Return the dtype of a storage class's name, or of the stand-in for a dtype."""
    import torch

    name = kind if isinstance(kind, str) else str(getattr(kind, "origin", "")).removeprefix("torch.")
    known = _KINDS.get(name, name)
    # Only names of the list are looked up: some others make torch import more of itself.
    found = getattr(torch, known, None) if known in _DTYPES else None
    if not isinstance(found, torch.dtype):
        raise WeightsError(f"it holds tensors of a sort that cannot be converted ({name or 'of no name'})")
    return found


def _open_zip(archive: zipfile.ZipFile, path: Path) -> tuple[Any, Callable[[str], bytearray]]:
    names = archive.namelist()
    root = next(name.removesuffix("data.pkl") for name in names if f"/{name}".endswith("/data.pkl"))
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder").decode() != sys.byteorder:
        raise WeightsError(f"'{path}' was written on a machine of the other byte order; save it as safetensors there")

    def read(name: str) -> bytearray:
        info = archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED:  # torch never compresses: a small file cannot become a huge one
            raise pickle.UnpicklingError("compressed entries")
        return bytearray(archive.read(info))

    unpickler = InertUnpickler(io.BytesIO(read(f"{root}data.pkl")))
    document = unpickler.load()

    def read_storage(key: str) -> bytearray:
        content, stored = read(f"{root}data/{key}"), unpickler.stored[key]
        if len(content) != stored.numel * _width(stored.kind):
            raise EOFError(f"storage {key} has {len(content)} bytes for {stored.numel} numbers")
        return content

    return document, read_storage


def _open_old(stream: BufferedReader, path: Path) -> tuple[Any, Callable[[str], bytearray]]:
    unpickler = InertUnpickler(stream)
    if unpickler.load() != _MAGIC:
        raise WeightsError(f"'{path}' is a pickle, but not one of torch.save; save its state dict with torch")
    InertUnpickler(stream).load()  # version
    system = InertUnpickler(stream).load()
    if isinstance(system, dict) and system.get("little_endian", True) != (sys.byteorder == "little"):
        raise WeightsError(f"'{path}' was written on a machine of the other byte order; save it as safetensors there")
    unpickler = InertUnpickler(stream)
    document = unpickler.load()
    total = path.stat().st_size
    places: dict[str, tuple[int, int]] = {}
    for key in map(str, InertUnpickler(stream).load()):
        (numel,) = struct.unpack("<q", stream.read(8))
        stored = unpickler.stored[key]
        begin, length = stream.tell(), numel * _width(stored.kind)
        if numel != stored.numel or begin + length > total:
            raise EOFError(f"storage {key} does not fit")
        places[key] = begin, length
        stream.seek(begin + length)

    def read_storage(key: str) -> bytearray:
        begin, length = places[key]
        stream.seek(begin)
        content = bytearray(length)
        if stream.readinto(content) != length:
            raise EOFError(key)
        return content

    return document, read_storage


def _width(kind: str) -> int:
    """Return the bytes of one element of a storage class."""
    return _dtype(kind).itemsize
