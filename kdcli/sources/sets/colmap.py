"""Cameras of a reconstruction as COLMAP writes them as text: ``cameras.txt`` and ``images.txt``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdcli.cameras import resize_camera
from kdcli.errors import DataError
from kdcli.sources.texts.numbers import check_camera, check_number, number_of, read_lines

_SINGLE = frozenset({
    "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_FISHEYE",
})  # fmt: skip
"""Models with one focal length; the others have two."""
_NUMBERS, _SIDES = (0.0, 1e9), (1.0, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Colmap:
    """Cameras by number: (height, width) and (fx, fy, cx, cy); and the number of each image's, where that is told.

    Optical centres count from the centre of the upper left pixel, half a pixel less than COLMAP's.
    """

    cameras: Mapping[int, tuple[tuple[int, int], tuple[float, float, float, float]]]
    of: Mapping[str, int]

    def camera(self, image: str, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return fx, fy, cx, cy of an image, brought to its size; None where several cameras could be meant."""
        number = self.of.get(image)
        if number is None and len(self.cameras) == 1:
            number = next(iter(self.cameras))
        if number is None or number not in self.cameras:
            return None
        size, own = self.cameras[number]
        return resize_camera(own, size, (height, width))


def read_colmap(folder: Path) -> Colmap | None:
    """Return the cameras of a folder, or None where it has no ``cameras.txt``.

    Raises:
        DataError: it names none, or a line is not of the form ``ID MODEL WIDTH HEIGHT PARAMETERS``.
    """
    path = folder / "cameras.txt"
    if not path.is_file():
        return None
    cameras: dict[int, tuple[tuple[int, int], tuple[float, float, float, float]]] = {}
    for number, line in enumerate(read_lines(path, "cameras in COLMAP's form"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"'{path}' line {number}"
        values = [number_of(word) for word in (words[0], *words[2:])]
        numbers = [value for value in values if value is not None]
        single = len(words) > 1 and words[1] in _SINGLE
        if len(words) < 7 + (not single) or len(numbers) != len(values):
            raise DataError(f"{where} is not 'ID MODEL WIDTH HEIGHT PARAMETERS'; unpack it again or remove it")
        key, width, height, *lens = numbers
        check_number(key, _NUMBERS, "the camera number", where)
        for side in (width, height):
            check_number(side, _SIDES, "the size", where)
        fx, fy, cx, cy = (lens[0], lens[0], *lens[1:3]) if single else lens[:4]
        cameras[int(key)] = ((int(height), int(width)), check_camera((fx, fy, cx - 0.5, cy - 0.5), where))
    if not cameras:
        raise DataError(f"'{path}' names no camera; unpack it again or remove it")
    of: dict[str, int] = {}
    if len(cameras) > 1 and (folder / "images.txt").is_file():
        for line in read_lines(folder / "images.txt", "images in COLMAP's form"):
            words = line.split()
            # Each second line is a list of points: three numbers a point, and no name.
            said = number_of(words[8]) if len(words) == 10 and number_of(words[9]) is None else None
            if said is not None and 0 <= said <= _NUMBERS[1]:
                of[words[9].rpartition("/")[2]] = int(said)
    return Colmap(cameras=cameras, of=of)
