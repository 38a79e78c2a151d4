"""``.sens`` files of ScanNet: all frames of a scan one behind the other, found without reading any picture.

The head and the parts of a frame follow ScanNet's own reader (``SensReader``), little-endian throughout.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError
from kdcli.rasters.guards import must_exist, within_limit
from kdcli.rasters.places import Member, open_place

_VERSION = 4
_LONGEST_NAME = 1 << 16
_MATRIX, _HEAD, _FRAME = struct.Struct("<16f"), struct.Struct("<iiIIIIfQ"), struct.Struct("<64xQQQQ")
POSE_BEFORE = _FRAME.size
"""Bytes before a frame's picture at which its pose begins: 16 floats."""
_COLOURS = {1: ".png", 2: ".jpg"}
_DEPTHS = {0: ".raw", 1: ".zlib"}
_CALLED = {0: "uncompressed pixels", 2: "occi"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SensHead:
    """What a file says of itself.

    camera: fx, fy, cx, cy of the colour images. colour, depth: height and width. shift: depth units per metre. frames:
    how many. begin: where the first is. endings: of the pictures and the depth maps, by how they are packed.
    """

    camera: tuple[float, float, float, float]
    colour: tuple[int, int]
    depth: tuple[int, int]
    shift: float
    frames: int
    begin: int
    endings: tuple[str, str]


def read_head(path: Path) -> SensHead:
    """Read what stands before the frames.

    Raises:
        DataError: another version, a packing that is not read, or no such file at all.
    """
    must_exist(path)
    with path.open("rb") as stream:
        version, letters = struct.unpack("<IQ", stream.read(12).ljust(12, b"\0"))
        if version != _VERSION:
            raise DataError(f"'{path}' is no .sens file of version {_VERSION} (it says {version}); download it again "
                            "or export its frames")
        stream.seek(min(letters, _LONGEST_NAME), 1)
        rest = stream.read(4 * _MATRIX.size + _HEAD.size)
        if letters > _LONGEST_NAME or len(rest) < 4 * _MATRIX.size + _HEAD.size:
            raise DataError(f"'{path}' ends within its head; download it again")
        begin = stream.tell()
    matrix = _MATRIX.unpack_from(rest)
    colours, depths, width, height, across, down, shift, frames = _HEAD.unpack_from(rest, 4 * _MATRIX.size)
    for what, kind, known in (("colour", colours, _COLOURS), ("depth", depths, _DEPTHS)):
        if kind not in known:
            raise DataError(f"'{path}' has its {what} packed as {_CALLED.get(kind, kind)}, which is not read; export "
                            "its frames with ScanNet's SensReader")
    if not shift > 0 or not down * across:
        raise DataError(f"'{path}' says that its depth is {across}x{down} with {shift:g} units per metre; download it "
                        "again")
    within_limit(path, down * across, (across, down))
    return SensHead(
        camera=(matrix[0], matrix[5], matrix[2], matrix[6]), colour=(height, width), depth=(down, across), shift=shift,
        frames=frames, begin=begin, endings=(_COLOURS[colours], _DEPTHS[depths]),
    )  # fmt: skip


class SensFile:
    """The frames of a file by number. Where they are is looked up when the first is asked for."""

    def __init__(self, path: Path) -> None:
        self.path, self.head = path, read_head(path)
        self._index: array[int] | None = None

    def __len__(self) -> int:
        return self.head.frames

    def frame(self, number: int) -> tuple[Member, Member]:
        """Return where picture and depth of a frame are. Reading one that the file ends before says so."""
        index, names = self._found(), [f"{what}/{number}{e}" for what, e in zip(("color", "depth"), self.head.endings,
                                                                               strict=True)]
        if 3 * number >= len(index):
            end = self.path.stat().st_size
            return Member(self.path, names[0], end, 1), Member(self.path, names[1], end, 1)
        begin, first, second = index[3 * number : 3 * number + 3]
        return Member(self.path, names[0], begin, first), Member(self.path, names[1], begin + first, second)

    def cut_at(self) -> int | None:
        """Return the first frame that is not there to its end; None where all are."""
        index, length = self._found(), self.path.stat().st_size
        whole = len(index) // 3
        if whole and index[-3] + index[-2] + index[-1] > length:
            whole -= 1
        return whole if whole < self.head.frames else None

    def _found(self) -> array[int]:
        """Return of each frame where its picture begins, and how long picture and depth are."""
        if self._index is None:
            index, at, length = array("Q"), self.head.begin, self.path.stat().st_size
            with self.path.open("rb", buffering=0) as stream:
                while len(index) < 3 * self.head.frames and at + _FRAME.size <= length:
                    stream.seek(at)
                    _, _, first, second = _FRAME.unpack(stream.read(_FRAME.size))
                    index.extend((at + _FRAME.size, min(first, length), min(second, length)))
                    at += _FRAME.size + first + second
            self._index = index
        return self._index


def read_sens_depth(place: Member, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Return the depth of a frame as it is stored; size: height and width.

    Raises:
        DataError: truncated, damaged or of another size.
    """
    with open_place(place) as stream:
        content, wanted = stream.read(), 2 * size[0] * size[1]
    if place.suffix == ".zlib":
        try:
            content = zlib.decompressobj().decompress(content, wanted + 1)
        except zlib.error as error:
            raise DataError(f"'{place}' is broken ({str(error)[:80]}); download '{place.archive}' again") from None
    if len(content) != wanted:
        more = "at least " if len(content) > wanted else ""
        raise DataError(f"'{place}' has {more}{len(content)} bytes of depth for {size[1]}x{size[0]} (width x height); "
                        f"download '{place.archive}' again")
    return np.frombuffer(content, "<u2").reshape(size).astype(np.uint16, copy=False)
