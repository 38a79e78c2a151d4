"""One row of the table: what has to be known of stored numbers to read metres from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Meaning = Literal["depth", "disparity", "logarithm", "kinect"]
"""What a number tells: depth; pixels of disparity; depth between ``near`` and ``far`` of a PNG's text chunks on a scale
of logarithms; or the raw reading of the first Kinect."""

_PICTURES = ("png", "pgm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """An encoding of depth. What it leaves open, a file says itself or the type of its numbers does.

    name: in the table. about: who writes it. containers: endings of the files that carry it, without the dot, the
    usual one first; none = any that is read. scale: stored units per metre, or per pixel of disparity; None = what
    the file names, else 1000 for whole numbers and 1 for floats (1 for disparity). offset: taken off what is stored
    before the division. rotate: bits by which 16-bit numbers were rotated to the left. swapped: whether the bytes
    of 16-bit numbers are in the wrong order; None = found out for PGM. flipped: whether rows are stored from the
    bottom up beyond what the container itself says. packed: whether four 8-bit channels are the bytes of one float.
    headerless: whether a file is nothing but 32-bit floats of the image's size. key: the array of a container with
    several. channel: which of the numbers that a pixel has there is depth; None = it has one. meaning: see
    ``Meaning``. ray: whether depth is the length of the pixel's ray rather than along the optical axis. none: stored
    numbers that mean no measurement, beside 0, negative ones, those that are not finite and the largest of their
    type. sky: stored number that means sky.
    """

    name: str
    about: str = ""
    containers: tuple[str, ...] = ()
    scale: float | None = None
    offset: float = 0.0
    rotate: int = 0
    swapped: bool | None = None
    flipped: bool = False
    packed: bool = False
    headerless: bool = False
    key: str | None = None
    channel: int | None = None
    meaning: Meaning = "depth"
    ray: bool = False
    none: tuple[float, ...] = ()
    sky: float | None = None

    @property
    def plain(self) -> bool:
        """Whether numbers are depth along the axis, divided by a scale, and nothing else is to be done."""
        return self.meaning == "depth" and not self.ray and not self.offset

    @property
    def kind(self) -> Literal["any", "whole", "float"]:
        """Which numbers its files hold, by the usual one of them: whole ones of 16 bits in pictures, else floats."""
        if not self.containers or self.packed:
            return "any"
        return "whole" if self.containers[0] in _PICTURES else "float"


BY_TYPE = Codec(name="by-type", about="what the file says: its own unit, else millimetres (whole) or metres (float)")
"""What is read where nothing is known of who wrote a file."""
