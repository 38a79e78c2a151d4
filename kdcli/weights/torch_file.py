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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.errors import WeightsError
from kdcli.weights.archive import read_member, stored_members
from kdcli.weights.inert import Inert, InertUnpickler, Stored
from kdcli.weights.sort import broken

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that files of the old layout begin with."""

_REPEATED = 1 << 26
"""Bytes that tensors may have beyond those stored, by repeating them: buffers that were expanded."""

_NAMES = 4
"""How many times its own size the tensors of a file may take, under all their names."""

_DIMENSIONS = 64
"""Most that torch knows."""

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
    """An open file of ``torch.save``: ``document`` is what was saved, made of stand-ins; ``tensors`` reads tensors."""

    document: Any
    foreign: Sequence[str]
    """Names of classes and functions in the document that are neither torch's for tensors nor plain containers."""

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
                opened = _open_zip(self._stack.enter_context(zipfile.ZipFile(path)), path)
            else:
                opened = _open_old(self._stack.enter_context(path.open("rb")), path)
            self._stack = self._stack.pop_all()
        self.document, self.foreign, self._bytes = opened
        self._size = path.stat().st_size
        self._raw: dict[str, bytearray] = {}

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tensors(self, pickled: Mapping[str, Inert]) -> dict[str, Tensor]:
        """Return the tensors that stand-ins describe (those for which ``is_tensor`` holds), on the CPU.

        Raises:
            WeightsError: of a sort that cannot be read.
            Exception: of any kind, where the file is damaged.
        """
        made: dict[str, Tensor] = {}
        total = 0
        for name, value in pickled.items():
            made[name] = self._tensor(value)
            # Whoever copies them makes room for all of it: a few names for one tensor are usual, thousands are not.
            total += made[name].numel() * made[name].element_size()
            if total > _REPEATED + _NAMES * self._size:
                raise pickle.UnpicklingError(f"tensors of more than {total} bytes in a file of {self._size}")
        return made

    def _tensor(self, pickled: Inert) -> Tensor:
        described = _unwrapped(pickled)
        stored, offset, size, stride, *_ = described.args
        if not isinstance(stored, Stored):
            raise pickle.UnpicklingError("a tensor without a storage")
        if not all(isinstance(part, tuple) and len(part) <= _DIMENSIONS for part in (size, stride)):
            raise pickle.UnpicklingError("a tensor without a shape")
        if not all(isinstance(n, int) and abs(n) < 1 << 62 for n in (*size, *stride, offset)):
            raise pickle.UnpicklingError("a shape of something other than numbers")
        # Since torch 2.1 the newest dtypes have untyped storages and name their dtype beside it.
        dtype = described.args[6] if described.origin.endswith("_v3") else stored.kind
        base = self._storage(stored, _dtype(dtype))
        if math.prod(size) > base.numel() and math.prod(size) * base.element_size() > _REPEATED:
            raise pickle.UnpicklingError(f"a tensor of {math.prod(size)} numbers in a storage of {base.numel()}")
        return base.as_strided(size, stride, stored.offset + offset)

    def _storage(self, stored: Stored, dtype: torch.dtype) -> Tensor:
        import torch

        if stored.key not in self._raw:
            self._raw[stored.key] = self._bytes(stored.key)
        raw = self._raw[stored.key]
        return torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)


@contextmanager
def opened(path: Path) -> Iterator[TorchFile]:
    """Open a file of ``torch.save``, and turn whatever goes wrong inside the block into one line.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        with TorchFile(path) as file:
            yield file
    except WeightsError as error:
        text = str(error)
        raise WeightsError(text if text.startswith(f"'{path}'") else f"'{path}' cannot be read: {text}") from None
    except (OSError, MemoryError):  # of the disk and of the machine, not of the file
        raise
    except Exception as error:  # a pickle that was damaged, or made to do damage, can fail in any way
        raise broken(path, error) from error


def is_tensor(pickled: Any) -> bool:
    """Whether a stand-in describes a tensor or parameter."""
    return isinstance(pickled, Inert) and _unwrapped(pickled).origin in _TENSORS


def is_odd(pickled: Any) -> bool:
    """Whether a stand-in describes a tensor that is not read: sparse, quantised and the like."""
    return isinstance(pickled, Inert) and not is_tensor(pickled) and "._rebuild_" in _unwrapped(pickled).origin


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


_Opened = tuple[Any, Sequence[str], Callable[[str], bytearray]]
"""The document, the foreign names in it, and what reads the bytes of a storage."""


def _open_zip(archive: zipfile.ZipFile, path: Path) -> _Opened:
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


def _open_old(stream: BufferedReader, path: Path) -> _Opened:
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
    return _dtype(kind).itemsize
