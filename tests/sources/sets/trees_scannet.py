"""Small scans in ScanNet's two forms: exported frames, and ``.sens`` files as its recorder writes them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Depths = dict[int, np.ndarray[Any, Any]]
COLOUR, DEPTH = (60, 81), (30, 40)
"""Height and width: not of one shape, as in the set."""
CAMERA = (1170.187988, 1170.187988, 647.75, 483.75)
"""Of the colour images at 1296 x 968."""


def depth_of(number: int) -> np.ndarray[Any, Any]:
    """Millimetres; the first row is no measurement."""
    depth = np.random.default_rng(number).integers(400, 9000, DEPTH).astype(np.uint16)
    depth[0] = 0
    return depth


def jpeg(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (*COLOUR, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def matrix(fx: float, fy: float, cx: float, cy: float) -> str:
    return f"{fx:f} 0 {cx:f} 0\n0 {fy:f} {cy:f} 0\n0 0 1 0\n0 0 0 1\n"


def frames(scene: Path, numbers: Sequence[int], name: str = "{}") -> Depths:
    """Write exported frames; name: how a number is written."""
    for part in ("color", "depth", "pose", "intrinsic", "instance-filt"):
        (scene / part).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        stem = name.format(number)
        (scene / "color" / f"{stem}.jpg").write_bytes(jpeg(number))
        Image.fromarray(depth_of(number)).save(scene / "depth" / f"{stem}.png")
        (scene / "pose" / f"{stem}.txt").write_text("-inf -inf -inf -inf\n" * 4)
        ids = np.zeros(COLOUR, np.uint8)
        ids[20:40, 10:30] = number % 5 + 1
        Image.fromarray(ids).save(scene / "instance-filt" / f"{number}.png")
    (scene / "intrinsic" / "intrinsic_color.txt").write_text(matrix(*CAMERA))
    (scene / "intrinsic" / "intrinsic_depth.txt").write_text(matrix(577.87, 577.87, 319.5, 239.5))
    return {number: depth_of(number) / 1000 for number in numbers}


def sens(
    path: Path, count: int = 3, *, version: int = 4, colour: int = 2, depth: int = 1, shift: float = 1000.0,
    lost: bool = True,
) -> Depths:
    """Write a ``.sens`` file. lost: whether its poses are those of a tracker that was lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    camera = np.eye(4, dtype="<f4")
    camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2] = 73.0, 74.0, 40.0, 29.5
    identity = np.eye(4, dtype="<f4")
    pose = np.full((4, 4), -np.inf, "<f4") if lost else identity
    with path.open("wb") as stream:
        stream.write(struct.pack("<IQ", version, 9) + b"StructIO2")
        stream.write(b"".join(m.tobytes() for m in (camera, identity, 0.5 * camera, identity)))
        stream.write(struct.pack("<iiIIIIf", colour, depth, COLOUR[1], COLOUR[0], DEPTH[1], DEPTH[0], shift))
        stream.write(struct.pack("<Q", count))
        for number in range(count):
            raw = depth_of(number).tobytes()
            picture, packed = jpeg(number), zlib.compress(raw) if depth == 1 else raw
            stream.write(pose.tobytes() + struct.pack("<QQQQ", 7 * number, 7 * number, len(picture), len(packed)))
            stream.write(picture + packed)
    return {number: depth_of(number) / (shift or 1) for number in range(count)}
