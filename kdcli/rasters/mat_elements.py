"""The elements of MATLAB files of version 5, walked before scipy reads any: damaged ones bring it down with Python.

A variable is an element, plain or compressed, of parts that are elements themselves: flags, lengths of axes, name, and
then numbers, letters, or the elements of cells and of the fields of structs (MathWorks, "MAT-File Format").
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kdcli.errors import DataError
from kdcli.rasters.guards import pixel_limit, within_limit

BEGINS = b"MATLAB 5.0 MAT-file"
_HEAD = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _LETTERS, _OPAQUE = 1, 2, 4, 17
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Bytes of a number by its type."""
_LETTER_TYPES = frozenset({1, 2, 4, 16, 17, 18})
_NUMBERS = range(6, 16)
_COMPLEX = 0x08
_DEEPEST, _LONGEST_NAME, _FIRST, _WIDEST = 12, 4096, 8192, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """Where a variable is in its file. shape: in MATLAB's order of axes. begin, size: of its element, after the tag."""

    shape: tuple[int, ...]
    begin: int
    size: int
    compressed: bool


def variables_in(path: Path) -> dict[str, Variable]:
    """Return the variables of a file by name.

    Raises:
        DataError: another format, truncated or damaged.
    """
    try:
        return dict(_variables(path))
    except (ValueError, struct.error, zlib.error) as error:
        raise _broken(path, error) from None


def file_of_variable(path: Path, variable: Variable) -> bytes:
    """Return a file that holds one variable alone and nothing that scipy cannot read.

    Raises:
        DataError: too large, truncated or damaged.
    """
    within_limit(path, math.prod(variable.shape), variable.shape)
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        stream.seek(variable.begin)
        content = stream.read(variable.size)
    order = _order(head)
    try:
        if variable.compressed:
            unpacked = zlib.decompressobj()
            content = unpacked.decompress(content, _WIDEST * pixel_limit() + _FIRST)
            if not unpacked.eof:
                raise ValueError("a compressed variable does not end")
        else:
            content = struct.pack(f"{order}II", _MATRIX, len(content)) + content
        kind, begin, size, _ = _tag(content, 0, len(content), order)
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} instead of a variable")
        _walk(content, begin, begin + size, order, 0)
    except (ValueError, struct.error, zlib.error) as error:
        raise _broken(path, error) from None
    return head + content


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"'{path}' is truncated or broken ({str(error)[:100]}); download it again")


def _order(head: bytes) -> str:
    if not head.startswith(BEGINS) or head[126:128] not in (b"IM", b"MI"):
        raise ValueError("no head of version 5")
    return "<" if head[126:128] == b"IM" else ">"


def _variables(path: Path) -> Iterator[tuple[str, Variable]]:
    length = path.stat().st_size
    with path.open("rb") as stream:
        order, at = _order(stream.read(_HEAD)), _HEAD
        while at + 8 <= length:
            stream.seek(at)
            kind, size = struct.unpack(f"{order}II", stream.read(8))
            if kind not in (_MATRIX, _COMPRESSED) or at + 8 + size > length:
                raise ValueError(f"at byte {at} an element of type {kind} and {size} bytes")
            first = stream.read(min(size, _FIRST))
            if kind == _COMPRESSED:
                first = zlib.decompressobj().decompress(first, _FIRST)[8:]
            _, shape, name, _ = _described(first, 0, len(first), order)
            yield name, Variable(shape=shape, begin=at + 8, size=size, compressed=kind == _COMPRESSED)
            at += 8 + size


def _tag(data: bytes, at: int, end: int, order: str) -> tuple[int, int, int, int]:
    """Return of an element its type, where its content begins, how many bytes that has, and where the next one is."""
    if at + 8 > end:
        raise ValueError("an element is cut off")
    kind, size = struct.unpack_from(f"{order}II", data, at)
    if kind >> 16:  # four bytes at most, within the tag
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise ValueError(f"a short element of {size} bytes")
        return kind, at + 4, size, at + 8
    if at + 8 + size > end:
        raise ValueError("an element is longer than what holds it")
    return kind, at + 8, size, min(at + 8 + -(-size // 8) * 8, end)


def _described(data: bytes, at: int, end: int, order: str) -> tuple[int, tuple[int, ...], str, int]:
    """Return flags, lengths of axes and name of a variable, and where its content begins."""
    kind, begin, size, at = _tag(data, at, end, order)
    if kind != 6 or size != 8:
        raise ValueError("a variable without flags")
    flags = struct.unpack_from(f"{order}I", data, begin)[0]
    if flags & 0xFF == _OPAQUE:  # what MATLAB alone understands, and has no axes
        kind, begin, size, at = _tag(data, at, end, order)
        return flags, (), data[begin : begin + min(size, _LONGEST_NAME)].decode("latin-1"), at
    kind, begin, size, at = _tag(data, at, end, order)
    if kind != 5 or size < 8 or size % 4 or size > 128:
        raise ValueError("a variable without lengths of axes")
    shape = struct.unpack_from(f"{order}{size // 4}i", data, begin)
    if min(shape) < 0:
        raise ValueError(f"an axis of {min(shape)}")
    kind, begin, size, at = _tag(data, at, end, order)
    if kind != 1 or size > _LONGEST_NAME:
        raise ValueError("a variable without name")
    return flags, shape, data[begin : begin + size].decode("latin-1"), at


def _walk(data: bytes, at: int, end: int, order: str, depth: int) -> None:
    """Refuse a variable that is not whole."""
    if at == end:  # an empty cell
        return
    if depth > _DEEPEST:
        raise ValueError("cells in cells without end")
    flags, shape, _, at = _described(data, at, end, order)
    form, count = flags & 0xFF, math.prod(shape)
    if form in (_CELL, _STRUCT):
        fields = 1
        if form == _STRUCT:
            fields, at = _fields(data, at, end, order)
        if count * fields > (end - at) // 8:
            raise ValueError(f"{count * fields} cells in {end - at} bytes")
        for _ in range(count * fields):
            kind, begin, size, at = _tag(data, at, end, order)
            if kind != _MATRIX:
                raise ValueError(f"a cell of type {kind}")
            _walk(data, begin, begin + size, order, depth + 1)
        return
    if form != _LETTERS and form not in _NUMBERS:
        raise ValueError(f"a variable of class {form}, which is not read")
    for _ in range(2 if flags >> 8 & _COMPLEX else 1):
        kind, _, size, at = _tag(data, at, end, order)
        known = kind in (_LETTER_TYPES if form == _LETTERS else _WIDTHS)
        if not known or (form != _LETTERS and size != count * _WIDTHS[kind]):
            raise ValueError(f"{size} bytes of type {kind} for {count} items")


def _fields(data: bytes, at: int, end: int, order: str) -> tuple[int, int]:
    """Return how many fields a struct has, and where the first of them begins."""
    kind, begin, size, at = _tag(data, at, end, order)
    longest = struct.unpack_from(f"{order}i", data, begin)[0] if kind == 5 and size == 4 else 0
    kind, _, size, at = _tag(data, at, end, order)
    if kind != 1 or longest < 1 or size % longest:
        raise ValueError("a struct without names of fields")
    return size // longest, at
