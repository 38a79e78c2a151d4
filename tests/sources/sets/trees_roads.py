"""Small true trees of sets that were recorded on roads, and the depth that went into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trees
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating]
DRIVE = "2011_09_26_drive_0002_sync"


def sixteen(path: Path, numbers: NDArray[np.generic]) -> None:
    """Write whole numbers of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers.astype(np.uint16)).save(path)


def lines(path: Path, *rows: str) -> None:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def numbers(*values: float) -> str:
    return " ".join(f"{value:.12e}" for value in values)


def ddad(root: Path, metres: Floats) -> None:
    """Two frames: depth in an array of metres, and in a picture of 256ths."""
    for i, name in enumerate(("000000", "000001")):
        trees.photo(root / f"{name}_rgb.png", *metres.shape, i)
    np.save(root / "000000_depth.npy", metres.astype(np.float32))
    sixteen(root / "000001_depth.png", metres * 256)


def selection(root: Path, metres: Floats, frames: tuple[int, ...] = (8, 23)) -> Path:
    """The selected frames of the depth benchmark: the kind of file stands in the middle of its name."""
    folder = root / "depth_selection" / "val_selection_cropped"
    for frame in frames:
        for camera in (2, 3):
            end = f"{frame:010}_image_0{camera}"
            trees.photo(folder / "image" / f"{DRIVE}_image_{end}.png", *metres.shape, frame + camera)
            sixteen(folder / "groundtruth_depth" / f"{DRIVE}_groundtruth_depth_{end}.png", (metres + camera) * 256)
            sixteen(folder / "velodyne_raw" / f"{DRIVE}_velodyne_raw_{end}.png", metres * 0 + 9)
            camera_file = folder / "intrinsics" / f"{DRIVE}_image_{end}.txt"
            lines(camera_file, numbers(721.5 + camera, 0, 596.5, 0, 721.5, 149.8, 0, 0, 1))
    return folder


P2 = (100.0, 0.0, 20.0, 5.0, 0.0, 100.0, 6.0, 0.2, 0.0, 0.0, 1.0, 0.0)
P3 = (100.0, 0.0, 20.0, -45.0, 0.0, 100.0, 6.0, 0.2, 0.0, 0.0, 1.0, 0.0)


def objects(root: Path, points: Floats, size: tuple[int, int] = (12, 40)) -> None:
    """One frame of the object set. points: N x 4, x ahead, y to the left, z up, as the scanner has them."""
    half = root / "training"
    trees.photo(half / "image_2" / "000007.png", *size)
    (half / "velodyne").mkdir(parents=True)
    points.astype("<f4").tofile(half / "velodyne" / "000007.bin")
    lines(
        half / "calib" / "000007.txt", f"P0: {numbers(*P2)}", f"P2: {numbers(*P2)}", f"P3: {numbers(*P3)}",
        f"R0_rect: {numbers(*np.eye(3).ravel())}", f"Tr_velo_to_cam: {numbers(0, -1, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0)}",
        "",
    )


def stereo(root: Path, disparity: Floats, year: int = 2015) -> None:
    """Two frames of a stereo benchmark, the second without ground truth."""
    half = root / "training"
    new = year == 2015
    for frame in (0, 1):
        photo = half / ("image_2" if new else "colored_0")
        for time in (10, 11):
            trees.photo(photo / f"{frame:06}_{time}.png", *disparity.shape, 20 * frame + time)
        rows = (f"P_rect_02: {numbers(*P2)}", f"P_rect_03: {numbers(*P3)}") if new else (
            f"P0: {numbers(*P2)}", f"P1: {numbers(*P2)}", f"P2: {numbers(*P2)}", f"P3: {numbers(*P3)}"
        )  # fmt: skip
        lines(half / ("calib_cam_to_cam" if new else "calib") / f"{frame:06}.txt", "calib_time: 09-Jan-2012", *rows)
    for kind, known in (("occ", disparity), ("noc", np.where(disparity > 30, 0, disparity))):
        sixteen(half / (f"disp_{kind}_0" if new else f"disp_{kind}") / "000000_10.png", known * 256)
    if new:
        trees.photo(half / "image_3" / "000000_10.png", *disparity.shape)
        (half / "obj_map").mkdir()
        Image.fromarray((disparity > 30).astype(np.uint8) * 3).save(half / "obj_map" / "000000_10.png")
