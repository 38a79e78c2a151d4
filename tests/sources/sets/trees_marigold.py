"""The data by which Marigold measures, made small: a folder or an uncompressed tar for each set, and its list."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from trees_lasers import diode, eth3d, photograph

from kdcli.sources.sets.marigold_table import SETS

Array = np.ndarray[Any, np.dtype[Any]]
Truth = dict[str, Array]
"""Depth in metres by the name of the image, 0 = none."""


CUT = {"nyu": (480, 640), "kitti": (375, 1242)}
"""Height and width of those sets of which protocols count pixels."""


def marigold(
    base: Path, *, packed: bool = True, sets: tuple[str, ...] = tuple(SETS), at_size: bool = False
) -> dict[str, Truth]:
    """Write the sets and their lists below a folder of evaluation data, and return the depth of each.

    at_size: at the size that their protocols are for.
    """
    truths = {}
    for name in sets:
        archive = base / SETS[name].archive
        folder = archive.with_suffix("")
        folder.mkdir(parents=True)
        truths[name], lines = MAKERS[name](folder, CUT[name]) if at_size and name in CUT else MAKERS[name](folder)
        path = base / "data_split" / SETS[name].list
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        if packed:
            with tarfile.open(archive, "w") as tar:
                tar.add(folder, ".")  # as its authors pack it: members begin with ./
            shutil.rmtree(folder)
    return truths


def _sixteen(path: Path, stored: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(stored.astype(np.uint16)).save(path)


def _map(seed: int, size: tuple[int, int], scale: float, most: float) -> Array:
    """Return stored numbers with a hole."""
    stored = np.round(np.random.default_rng(seed).uniform(0.5, most, size) * scale)
    stored[:3, :3] = 0
    return stored


def _nyu(root: Path, size: tuple[int, int] = (48, 64)) -> tuple[Truth, list[str]]:
    truth, lines = {}, []
    for i in (1, 2):
        at = "test/kitchen_0004/"
        names = [f"{at}{kind}_{i:04}.png" for kind in ("rgb", "depth", "filled")]
        photograph(root / names[0], size, i)
        stored = _map(i, size, 1000, 9)
        _sixteen(root / names[1], stored)
        _sixteen(root / names[2], np.where(stored > 0, stored, 4321))
        truth[names[0]] = stored / 1000
        lines.append(" ".join(names))
    return truth, lines


def _kitti(root: Path, size: tuple[int, int] = (37, 124)) -> tuple[Truth, list[str]]:
    truth, lines = {}, []
    for i in (5, 41, 50):
        drive = "2011_09_26_drive_0002_sync"
        image = f"2011_09_26/{drive}/image_02/data/{i:010}.png"
        photograph(root / image, size, i)
        depth = "None"
        if i != 41:
            depth = f"{drive}/proj_depth/groundtruth/image_02/{i:010}.png"
            stored = _map(i, size, 256, 80)
            _sixteen(root / depth, stored)
            truth[image] = stored / 256
        lines.append(f"{image} {depth} 721.5377")
    return truth, lines


def _eth3d(root: Path) -> tuple[Truth, list[str]]:
    depths = eth3d(root, "marigold", per_scene=1)
    truth, lines = {}, []
    for name, depth in depths.items():
        scene, file = name.split("/")
        image = f"rgb/{scene}/images/dslr_images/{file}"
        truth[image] = np.where(np.isfinite(depth), depth, 0)
        lines.append(f"{image} depth/{scene}_dslr_depth/{scene}/ground_truth_depth/dslr_images/{file}")
    return truth, lines


def _diode(root: Path) -> tuple[Truth, list[str]]:
    depths = diode(root / "whole", splits=("val",))
    for place in ("indoors", "outdoor"):
        (root / "whole/val" / place).rename(root / place)
    truth, lines = {}, []
    for name, depth in depths.items():
        truth[f"{name}.png"] = np.where(depth < 400, depth, 0)
        lines.append(f"{name}.png {name}_depth.npy {name}_depth_mask.npy")
    return truth, lines


def _scannet(root: Path) -> tuple[Truth, list[str]]:
    truth, lines = {}, []
    for i in (300, 1200):
        image, depth = (f"scene0406_02/{kind}/{i:06}.{end}" for kind, end in (("color", "jpg"), ("depth", "png")))
        photograph(root / image, (48, 64), i)
        stored = _map(i, (48, 64), 1000, 9)
        _sixteen(root / depth, stored)
        truth[image] = stored / 1000
        lines.append(f"{image} {depth}")
    return truth, lines


def _hypersim(root: Path) -> tuple[Truth, list[str]]:
    image, depth = (f"ai_003_010/{kind}_cam_00_fr0047.png" for kind in ("rgb", "depth_plane"))
    photograph(root / image, (48, 64), 1)
    stored = _map(1, (48, 64), 1000, 20)
    _sixteen(root / depth, stored)
    return {image: stored / 1000}, [f"{image} {depth}"]


def _vkitti(root: Path) -> tuple[Truth, list[str]]:
    at = "Scene01/clone/frames/{0}/Camera_0/{0}_00000"
    image, depth = f"rgb/{at.format('rgb')}.jpg", f"depth/{at.format('depth')}.png"
    photograph(root / image, (37, 124), 1)
    stored = _map(1, (37, 124), 100, 90)
    stored[3] = 65535
    _sixteen(root / depth, stored)
    return {image: np.where(stored < 65535, stored, 0) / 100}, [f"{image} {depth}"]


MAKERS: dict[str, Callable[..., tuple[Truth, list[str]]]] = {
    "nyu": _nyu, "kitti": _kitti, "eth3d": _eth3d, "scannet": _scannet, "diode": _diode, "hypersim": _hypersim,
    "vkitti": _vkitti,
}  # fmt: skip
