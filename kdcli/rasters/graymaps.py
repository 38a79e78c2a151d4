"""Binary PGM files, as depth cameras' tools write them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.rasters.guards import within_limit
from kdcli.rasters.places import Place, open_place, size_of

_SPACE = b" \t\r\n\v\f"
_HEADER = 65536
"""Bytes in which a header with its comments has to end."""
_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    width: int
    height: int
    most: int
    begin: int
    """Position of the byte after the white space that ends the header."""

    @property
    def kind(self) -> np.dtype[np.generic]:
        return np.dtype(">u2") if self.most > 255 else np.dtype("u1")


def read_pgm(path: Place) -> tuple[NDArray[np.generic], bool]:
    """Read a binary PGM, and say whether its bytes were swapped.

    Pillow stretches a 16-bit PGM to 65535 when its maximum is smaller, which would change the unit; so this does not
    use it. The format says big-endian, some depth cameras' tools write little-endian: the order in which neighbours
    differ far less is the right one, since swapping puts the noisy low byte on top.

    Raises:
        DataError: another kind of PGM, truncated or too large.
    """
    with open_place(path) as stream:
        header = _header(path, stream.read(_HEADER))
        count, kind = header.width * header.height, header.kind
        length = size_of(path)
        stream.seek(header.begin)
        # One byte of white space ends a header. Writers that end lines with CR LF, or put a comment behind the
        # maximum, leave more; then the file is longer by just as much.
        begin = header.begin + _excess(stream.read(_HEADER), length - header.begin - count * kind.itemsize)
        if length - begin < count * kind.itemsize:
            raise DataError(
                f"'{path}' is truncated: {length} bytes for {header.width} x {header.height} pixels; re-download it"
            )
        stream.seek(begin)
        array = np.frombuffer(stream.read(count * kind.itemsize), kind).reshape(header.height, header.width)
    if kind.itemsize == 1:
        return array, False
    other = array.byteswap()
    swapped = _roughness(other) < 0.25 * _roughness(array)
    return (other if swapped else array).astype(np.uint16), swapped


def graymap_bits(path: Place) -> int:
    """Return 8 or 16, from the header of a binary PGM.

    Raises:
        DataError: as ``read_pgm``.
    """
    with open_place(path) as stream:
        return 8 * _header(path, stream.read(_HEADER)).kind.itemsize


def _header(path: Place, content: bytes) -> _Header:
    fields: list[bytes] = []
    position = 0
    while len(fields) < 4 and position < len(content):
        if content[position] in _SPACE:
            position += 1
        elif content[position : position + 1] == b"#":
            position = _after_line(content, position)
        else:
            end = position
            while end < len(content) and content[end] not in _SPACE + b"#":
                end += 1
            fields.append(content[position:end])
            position = end
    numbers = [int(field) for field in fields[1:] if field.isdigit() and len(field) <= _DIGITS]
    if len(numbers) < 3 or fields[0] != b"P5":
        raise DataError(f"'{path}' is not a binary PGM (P5) file; convert it to 16-bit PNG")
    width, height, most = numbers
    within_limit(path, width * height, (width, height))
    if not width * height or not 0 < most <= 65535:
        raise DataError(f"'{path}' says {width} x {height} pixels up to {most}, which no PGM can hold; write it again")
    return _Header(width=width, height=height, most=most, begin=position + 1)


def _excess(content: bytes, most: int) -> int:
    """Return how many bytes before the pixels still belong to the header; most: that the file has over."""
    skipped = 0
    if most >= 1 and content[:1] == b"\n":
        skipped = 1
    if content[skipped : skipped + 1] == b"#" and (end := _after_line(content, skipped)) <= most:
        skipped = end
    return skipped


def _after_line(content: bytes, position: int) -> int:
    """Return the position after the end of the line, LF, CR or CR LF."""
    ends = [at for at in (content.find(b"\n", position), content.find(b"\r", position)) if at >= 0]
    if not ends:
        return len(content)
    end = min(ends)
    return end + (2 if content[end : end + 2] == b"\r\n" else 1)


def _roughness(array: NDArray[np.generic]) -> float:
    return float(np.abs(np.diff(array.astype(np.int32), axis=1)).mean()) if array.shape[1] > 1 else 0.0
