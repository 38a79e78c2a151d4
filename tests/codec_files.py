"""Small depth files in every encoding of the table, each of the same depth."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kdcli.codecs import CODECS, Codec
from kdcli.images import Rig

TRUTH = np.array([[0, 0.75, 1.5, 3.0], [2.0, 2.25, 4.5, 6.0], [8.0, 0, 1.25, 5.0]], np.float32)
"""Metres; 0 = no measurement."""
CAMERA = (4.0, 4.0, 1.5, 1.0)
RIG = Rig(focal_baseline=40.0, offset=3.0)


def png(path: Path, numbers: np.ndarray[Any, Any], **notes: str) -> Path:
    info = PngInfo()
    for key, value in notes.items():
        info.add_text(key, value)
    Image.fromarray(numbers.astype(np.uint16)).save(path.with_suffix(".png"), pnginfo=info)
    return path.with_suffix(".png")


def whole(codec: Codec, depth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    assert codec.scale is not None
    return np.round(depth * codec.scale).astype(np.uint16)


def rays() -> np.ndarray[Any, Any]:
    y, x = np.mgrid[0:3, 0:4]
    return TRUTH * np.sqrt(1 + ((x - CAMERA[2]) / CAMERA[0]) ** 2 + ((y - CAMERA[3]) / CAMERA[1]) ** 2)


def disparities(scale: float = 1.0, offset: float = 0.0) -> np.ndarray[Any, Any]:
    with np.errstate(divide="ignore"):
        pixels = RIG.focal_baseline / TRUTH - RIG.offset
    return np.where(TRUTH > 0, pixels * scale + offset, 0)


def hdf5(path: Path, key: str, array: np.ndarray[Any, Any]) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file[key] = array
    return path


def matlab(path: Path, **variables: Any) -> Path:
    io = pytest.importorskip("scipy.io")
    io.savemat(path, variables)
    return path


def pfm(path: Path, array: np.ndarray[Any, Any], order: str, size: str = "1.0") -> Path:
    head = f"Pf\n{array.shape[1]} {array.shape[0]}\n{'-' * (order == '<')}{size}\n".encode()
    path.write_bytes(head + array[::-1].astype(f"{order}f4").tobytes())
    return path


def kinect(path: Path) -> Path:
    with np.errstate(divide="ignore"):
        numbers = np.where(TRUTH > 0, np.round(1092.5 - 351.3 / TRUTH), 0).astype("<u2")  # PGM wants big-endian
    path.with_suffix(".pgm").write_bytes(b"P5 4 3 65535\n" + numbers.tobytes())
    return path.with_suffix(".pgm")


def moge(path: Path) -> Path:
    near, far = 0.5, 10.0
    with np.errstate(divide="ignore"):
        share = (np.log(TRUTH) - np.log(near)) / (np.log(far) - np.log(near))
    return png(path, np.where(TRUTH > 0, np.round(share * 65533) + 1, 0), near=str(near), far=str(far))


def packed(path: Path) -> Path:
    path = path.with_suffix(".png")
    # Written by OpenCV, which has blue first.
    Image.fromarray(np.ascontiguousarray(TRUTH).view(np.uint8).reshape(3, 4, 4)[..., [2, 1, 0, 3]], "RGBA").save(path)
    return path


def dpt(path: Path) -> Path:
    path.with_suffix(".dpt").write_bytes(struct.pack("<fii", 202021.25, 4, 3) + TRUTH.tobytes())
    return path.with_suffix(".dpt")


def plain_floats(path: Path, ending: str = ".JPG") -> Path:
    path.with_suffix(ending).write_bytes(np.where(TRUTH > 0, TRUTH, np.inf).astype("<f4").tobytes())
    return path.with_suffix(ending)


def array(path: Path, numbers: np.ndarray[Any, Any]) -> Path:
    np.save(path.with_suffix(".npy"), numbers)
    return path.with_suffix(".npy")


STRUCT = np.zeros((1, 1), [("depth", object)])
STRUCT["depth"][0, 0] = TRUTH.astype(np.float64)

WRITERS: dict[str, Callable[[Path], Path]] = {
    "by-type": lambda p: png(p, TRUTH * 1000),
    "metres": lambda p: array(p, np.where(TRUTH > 0, TRUTH, np.nan)),
    "sunrgbd": lambda p: png(p, (whole(CODECS["sunrgbd"], TRUTH) << 3) | (whole(CODECS["sunrgbd"], TRUTH) >> 13)),
    "nyu-kinect": kinect,
    "nyu-labelled": lambda p: hdf5(p.with_suffix(".mat"), "depths", TRUTH.T),  # as MATLAB writes it
    "fastdepth": lambda p: hdf5(p.with_suffix(".h5"), "depth", TRUTH),
    "megadepth": lambda p: hdf5(p.with_suffix(".h5"), "depth", np.where(TRUTH > 0, TRUTH, -3)),
    "hypersim": lambda p: hdf5(p.with_suffix(".hdf5"), "dataset", np.where(TRUTH > 0, rays(), np.nan)),
    "ibims-mat": lambda p: matlab(p.with_suffix(".mat"), data=STRUCT),
    "make3d": lambda p: matlab(p.with_suffix(".mat"), Position3DGrid=np.stack([TRUTH * 0] * 3 + [TRUTH], -1)),
    "eth3d": plain_floats,
    "headerless": lambda p: plain_floats(p, ".raw"),
    "sintel": dpt,
    "tartanair": lambda p: array(p, TRUTH),
    "tartanair2": packed,
    "moge": moge,
    "scenenet": lambda p: png(p, np.round(rays() * 1000)),
    "disparity": lambda p: pfm(p.with_suffix(".pfm"), disparities(), "<"),
    "kitti-disparity": lambda p: png(p, np.round(disparities(256))),
    "cityscapes": lambda p: png(p, np.round(disparities(256, 1))),
    "micro-tof": lambda p: array(p, np.where(TRUTH > 0, TRUTH, np.float32(-9.999))),
}
"""Codec -> what writes ``TRUTH`` in it; the others are plain scales of 16-bit PNGs."""
ROUGH = {"cityscapes": 0.02, "kitti-disparity": 0.02, "nyu-kinect": 0.03, "vkitti2": 0.005, "scenenet": 1e-3}
"""Share of the depth by which whole numbers of this encoding round it; of the others one in a thousand."""


def write(path: Path, name: str) -> Path:
    """Write ``TRUTH`` in an encoding, with the ending that such files have."""
    return WRITERS.get(name, lambda at: png(at, whole(CODECS[name], TRUTH)))(path)
