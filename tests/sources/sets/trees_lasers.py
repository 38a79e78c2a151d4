"""Small true trees of the sets whose depth a laser measured: DIODE and ETH3D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Floats = np.ndarray[Any, np.dtype[np.float32]]
DIODE_SIZE = (24, 32)
ETH3D_SIZE = (28, 42)
ETH3D_SCENES = ("courtyard", "pipes")


def photograph(path: Path, size: tuple[int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG" if path.suffix.lower() == ".jpg" else "PNG")


def diode(root: Path, splits: tuple[str, ...] = ("train", "val")) -> dict[str, Floats]:
    """Write two frames of each part and return their depth; its upper left quarter is masked, and far away."""
    depths = {}
    for split in splits:
        for place, scene, scan in (("indoors", 19, 183), ("outdoor", 22, 196)):
            for angle in (10, 350):
                name = f"{scene:05}_{scan:05}_{place}_{angle:03}_020"
                at = root / split / place / f"scene_{scene:05}" / f"scan_{scan:05}"
                photograph(at / f"{name}.png", DIODE_SIZE, scene * angle + len(split))
                depth = np.random.default_rng(angle).uniform(0.6, 20, (*DIODE_SIZE, 1)).astype(np.float32)
                mask = np.ones(DIODE_SIZE, np.float64)
                depth[:12, :16], mask[:12, :16] = 400, 0
                np.save(at / f"{name}_depth.npy", depth)
                np.save(at / f"{name}_depth_mask.npy", mask)
                depths[f"{place}/scene_{scene:05}/scan_{scan:05}/{name}"] = depth[..., 0]
    return depths


def eth3d(root: Path, way: str = "one", per_scene: int = 2) -> dict[str, Floats]:
    """Write scenes as their archives unpack and return depth by name; a stripe of each was not measured.

    way: ``one`` folder for all archives, ``archives`` each in one of its name, ``marigold`` as its lists name them.
    """
    depths = {}
    for number, scene in enumerate(ETH3D_SCENES):
        images, truth = {
            "one": (root / scene, root / scene),
            "archives": (root / f"{scene}_dslr_jpg" / scene, root / f"{scene}_dslr_depth" / scene),
            "marigold": (root / "rgb" / scene, root / "depth" / f"{scene}_dslr_depth" / scene),
        }[way]
        for i in range(per_scene):
            name = f"DSC_{286 + i:04}.JPG"
            photograph(images / "images/dslr_images" / name, ETH3D_SIZE, 10 * number + i)
            depth = np.random.default_rng(10 * number + i).uniform(1, 30, ETH3D_SIZE).astype(np.float32)
            depth[:, :5], depth[:, 5] = np.inf, np.nan
            path = truth / "ground_truth_depth/dslr_images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(depth.astype("<f4").tobytes())
            depths[f"{scene}/{name}"] = depth
        calibration = images / "dslr_calibration_jpg"
        calibration.mkdir()
        lens = "2000 2001 20.5 13.5 0.1 0.2 0 0 0 0 0 0"
        lines = [f"{k} THIN_PRISM_FISHEYE 42 28 {lens.replace('2000', str(2000 + k))}" for k in range(number + 1)]
        (calibration / "cameras.txt").write_text("# Camera list\n" + "\n".join(lines) + "\n")
        rows = [f"{i} 1 0 0 0 0 0 0 {i} dslr_images/DSC_{286 + i:04}.JPG\n1.5 2.5 -1" for i in range(per_scene)]
        (calibration / "images.txt").write_text("# Image list\n" + "\n".join(rows) + "\n")
    return depths
