"""Small true trees of rendered sets and of those that are handed on in one form, and the depth that went into them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import trees
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Floats = NDArray[np.floating]


def sintel(root: Path, metres: Floats, half: str = "training") -> None:
    """One sequence of two frames in both renderings, and one frame of the test half."""
    height, width = metres.shape
    for frame in (1, 2):
        name = f"alley_1/frame_{frame:04}"
        for rendering in ("final", "clean"):
            trees.photo(root / half / rendering / f"{name}.png", height, width, frame + 5 * (rendering == "clean"))
        depth = root / half / "depth" / f"{name}.dpt"
        depth.parent.mkdir(parents=True, exist_ok=True)
        tagged = struct.pack("<fii", 202021.25, width, height)
        depth.write_bytes(tagged + (metres * frame).astype("<f4").tobytes())
        camera = root / half / "camdata_left" / f"{name}.cam"
        camera.parent.mkdir(parents=True, exist_ok=True)
        matrix = np.array([[1120.0, 0, 511.5], [0, 1121.0, 217.5], [0, 0, 1]])
        extrinsic = np.eye(3, 4)
        camera.write_bytes(tagged[:4] + matrix.astype("<f8").tobytes() + extrinsic.astype("<f8").tobytes())
    trees.photo(root / "test" / "final" / "ambush_1" / "frame_0001.png", height, width, 77)


def tartanair(root: Path, metres: Floats, *, doubled: bool = True) -> Path:
    """One drive of the first form: arrays of metres, ids of meshes, and a right camera."""
    drive = root / ("office/office" if doubled else "office") / "Easy" / "P001"
    for side, shift in (("left", 0.0), ("right", 1.0)):
        for frame in (0, 1):
            trees.photo(drive / f"image_{side}" / f"{frame:06}_{side}.png", *metres.shape, frame)
            for kind, array in (("depth", (metres + shift).astype(np.float32)), ("seg", (metres > 3).astype(np.uint8))):
                folder = drive / f"{kind}_{side}"
                folder.mkdir(parents=True, exist_ok=True)
                np.save(folder / f"{frame:06}_{side}_{kind}.npy", array)
    (drive / "pose_left.txt").write_text("0 0 0 0 0 0 1\n" * 2)
    return drive


def tartanair2(root: Path, metres: Floats) -> Path:
    """One drive of the second form: the four bytes of each float are the channels of a picture."""
    drive = root / "ArchVizTinyHouseDay" / "Data_easy" / "P000"
    trees.photo(drive / "image_lcam_front" / "000000_lcam_front.png", *metres.shape)
    folder = drive / "depth_lcam_front"
    folder.mkdir(parents=True)
    packed = metres.astype("<f4")[..., None].view(np.uint8)
    # OpenCV, by which the files are written, has blue first.
    Image.fromarray(packed[..., [2, 1, 0, 3]], "RGBA").save(folder / "000000_lcam_front_depth.png")
    return drive


def moge(root: Path, metres: Floats, *, notes: bool = True, listed: str | None = ".index.txt") -> None:
    """Two instances in folders of their own, depth on a scale of logarithms; 0 unknown, infinity infinitely far."""
    near, far = 0.5, 40.0
    share = np.log(np.clip(metres, near, far) / near) / np.log(far / near)
    stored = np.where(np.isinf(metres), 65535, np.where(metres > 0, 1 + np.round(share * 65533), 0)).astype(np.uint16)
    folders = ("scene_b/0001", "scene_a/0007")
    for i, folder in enumerate(folders):
        trees.photo(root / folder / "image.jpg", *metres.shape, i)
        text = PngInfo()
        for name, value in (("near", near), ("far", far)) if notes else ():
            text.add_text(name, str(value))
        Image.fromarray(stored).save(root / folder / "depth.png", pnginfo=text)
        known = {"intrinsics": [[1.25, 0, 0.5], [0, 1.5, 0.25], [0, 0, 1]]}
        (root / folder / "meta.json").write_text(json.dumps(known))
    if listed is not None:
        (root / listed).write_text("\n".join(folders) + "\n")


def diml_indoor(root: Path, metres: Floats) -> None:
    """A room: folder and end of the name change together."""
    for i, name in enumerate(("in_00_160222_173422", "in_00_160222_173423")):
        trees.photo(root / "HR" / "Bathroom 1" / "color" / f"{name}_c.png", *metres.shape, i)
        folder = root / "HR" / "Bathroom 1" / "depth_filled"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((metres * 1000).astype(np.uint16)).save(folder / f"{name}_depth_filled.png")


def diml_outdoor(root: Path, metres: Floats) -> None:
    """A street: the folders differ, the names do not."""
    trees.photo(root / "brickhouse" / "outleft" / "0001.png", *metres.shape)
    folder = root / "brickhouse" / "depthmap"
    folder.mkdir(parents=True)
    Image.fromarray((metres * 1000).astype(np.uint16)).save(folder / "0001.png")


def pfm(path: Path, array: Floats, *, big: bool = False) -> None:
    """Write a portable float map: rows from the bottom up, the sign of the scale is the byte order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = f"Pf\n{array.shape[1]} {array.shape[0]}\n{1.0 if big else -1.0}\n".encode()
    path.write_bytes(header + array[::-1].astype(">f4" if big else "<f4").tobytes())


OPENCV = """<?xml version="1.0"?>
<opencv_storage>
<mtxL type_id="opencv-matrix">
  <rows>3</rows>
  <cols>3</cols>
  <dt>d</dt>
  <data>
    1. 0. 2. 0. 1. 2. 0. 0. 1.</data></mtxL>
<proj_matL type_id="opencv-matrix">
  <rows>3</rows>
  <cols>4</cols>
  <dt>d</dt>
  <data>
    6.5e+02 0. 2.1e+01 0. 0. 6.4e+02 5.5e+00
    0. 0. 0. 1. 0.</data></proj_matL>
<proj_matR type_id="opencv-matrix">
  <rows>3</rows>
  <cols>4</cols>
  <dt>d</dt>
  <data>
    6.5e+02 0. 2.1e+01 -5.2e+04 0. 6.4e+02 5.5e+00 0. 0. 0. 1. 0.</data></proj_matR>
<baselineLR>8.0e+01</baselineLR>
</opencv_storage>
"""


def booster(root: Path, disparity: Floats) -> Path:
    """A scene in two lightings that share one map, and a test scene without."""
    for half in ("train", "test"):
        scene = root / half / "balanced" / ("Bathroom" if half == "train" else "Desk")
        for light in (0, 1):
            trees.photo(scene / "camera_00" / f"im{light}.png", *disparity.shape, light)
            trees.photo(scene / "camera_02" / f"im{light}.png", *disparity.shape, 2 + light)
        (scene / "calib_00-02.xml").write_text(OPENCV)
    scene = root / "train" / "balanced" / "Bathroom"
    np.save(scene / "disp_00.npy", disparity.astype(np.float32))
    Image.fromarray((disparity > 20).astype(np.uint8) * 255).save(scene / "mask_00.png")
    Image.fromarray((disparity > 25).astype(np.uint8) * 3).save(scene / "mask_cat.png")
    return scene


CALIBRATION = """cam0=[900.5 0 20.25; 0 900.5 6.5; 0 0 1]
cam1=[900.5 0 31.25; 0 900.5 6.5; 0 0 1]
doffs=11
baseline=193.001
width=40
height=12
ndisp=70
isint=0
vmin=5
vmax=70
dyavg=0
dymax=0
"""


def middlebury(root: Path, disparity: Floats, *, apart: bool = False) -> None:
    """Two scenes; ground truth in a tree of its own if ``apart``, as ETH3D's two-view sets have it."""
    for i, scene in enumerate(("Adirondack-perfect", "Piano-perfect")):
        folder = root / "two_view_training" / scene if apart else root / scene
        for eye in (0, 1):
            trees.photo(folder / f"im{eye}.png", *disparity.shape, 2 * i + eye)
        (folder / "calib.txt").write_text(CALIBRATION)
        truth = root / "two_view_training_gt" / scene / "disp0GT.pfm" if apart else folder / "disp0.pfm"
        pfm(truth, disparity + i, big=bool(i))
        if not apart:
            pfm(folder / "disp1.pfm", np.ones_like(disparity))
