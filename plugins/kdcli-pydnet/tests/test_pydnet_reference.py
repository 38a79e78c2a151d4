"""Trained networks on real images: numbers computed here in plain numpy against independently measured ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from kdcli.plugins import registry
from kdcli.sources.sets.kitti_object import KittiObjectSource
from kdcli.types import DepthKind

Array = NDArray[np.float64]
Pair = tuple[Path, Array]

FILES = {
    "pydnet": "mobile_pydnet_kitti/mobile_pydnet_kitti_pruned35_dequant.pth",
    "pydnetpp": "pydnetpp_matterport/pydnetpp_matterport_dequant.pth",
    "upydnet-kitti": "upydnet/micro-kitti/from_scratch_48x48lab/upydnet.pth",
    "upydnet-nyu": "upydnet/micro-nyuv2/from_scratch_48x48lab/upydnet.pth",
}

# network, images, pixels of the first (None = not stated), (AbsRel, RMSE, delta1) median-scaled, the same after LS
ROWS = [
    ("pydnet", "kitti/5", 90728, (0.083, 5.23, 0.888), (0.062, 3.34, 0.950)),
    ("pydnet", "kitti/50", 96063, (0.084, 5.96, 0.880), (0.069, 4.26, 0.936)),
    ("pydnet", "object/000000", 20280, (0.139, 3.11, 0.800), (0.121, 2.85, 0.846)),
    ("pydnet", "object/000002", 20216, (0.146, 5.73, 0.826), (0.153, 6.70, 0.792)),
    ("upydnet-kitti", "kitti/5", 31421, (0.036, 2.31, 0.990), (0.032, 2.66, 0.987)),
    ("upydnet-kitti", "kitti/50", 33887, (0.044, 4.08, 0.954), (0.042, 3.78, 0.961)),
    ("upydnet-kitti", "object/000000", 7230, (0.126, 3.94, 0.903), (0.087, 3.89, 0.933)),
    ("upydnet-kitti", "object/000002", 7027, (0.149, 7.55, 0.727), (0.142, 7.54, 0.715)),
    ("upydnet-nyu", "nyu", None, (0.210, 1.19, 0.577), (0.159, 1.05, 0.770)),
    ("upydnet-nyu", "tum", None, (0.245, 1.01, 0.475), (0.159, 1.00, 0.838)),
    ("upydnet-nyu", "icl", None, (0.206, 0.62, 0.650), (0.170, 0.50, 0.687)),
    ("pydnetpp", "nyu", None, (0.355, 1.71, 0.349), (0.194, 0.83, 0.693)),
    ("pydnetpp", "nyu5000", None, (0.127, 0.38, 0.927), (0.095, 0.35, 0.946)),
    ("pydnetpp", "tum", None, (0.155, 0.65, 0.756), (0.162, 0.56, 0.737)),
    ("pydnetpp", "icl", None, (0.174, 0.56, 0.744), (0.127, 0.35, 0.844)),
    ("pydnetpp", "redwood", None, (0.182, 0.36, 0.682), (0.171, 0.35, 0.712)),
]
# Cells are rounded: with images resized as they were for the table, to bytes, half of the last digit is left. A byte or
# two are rounded otherwise by PIL's whole numbers than by the model's own resizing.
EXACT = np.array([5.1e-4, 5.1e-3, 5.1e-4])
CLOSE = np.array([6e-4, 6e-3, 7e-4])


@pytest.mark.parametrize("own_resize", [True, False], ids=["own-resize", "pil-resize"])
@pytest.mark.parametrize(("network", "images", "pixels", "median", "fitted"), ROWS, ids=[" ".join(r[:2]) for r in ROWS])
def test_reference_numbers(
    shared: Path, network: str, images: str, pixels: int | None, median: tuple[float, ...],
    fitted: tuple[float, ...], own_resize: bool,
) -> None:
    data = shared / "data"
    teacher = registry.build("teacher", f"{network.split('-')[0]}:{data / 'weights' / FILES[network]}").eval()
    near, far = (1e-3, 80.0) if images.startswith(("kitti", "object")) else (0.1, 10.0)
    by_median, by_fit = [], []
    for path, truth in pairs(data, images):
        predicted, opinion = (predict if own_resize else predict_resized)(teacher, path, truth.shape)
        counted = (truth > near) & (truth < far) & (predicted > 1e-6) & opinion
        if pixels is not None:
            assert abs(int(counted.sum()) - pixels) <= 2
        p, g = predicted[counted], truth[counted]
        depth = 1 / p if teacher.depth_kind is DepthKind.AFFINE_DISPARITY else p
        by_median.append(measure(np.clip(depth * np.median(g) / np.median(depth), near, far), g))
        by_fit.append(measure(np.clip(fit(p, g, teacher.depth_kind), near, far), g))
    tolerance = CLOSE if own_resize else EXACT
    assert np.all(np.abs(np.mean(by_median, axis=0) - median) < tolerance), np.mean(by_median, axis=0)
    assert np.all(np.abs(np.mean(by_fit, axis=0) - fitted) < tolerance), np.mean(by_fit, axis=0)


@pytest.mark.parametrize("item", ["000000", "000002"])
def test_the_source_reads_the_depth_of_these_numbers(shared: Path, item: str) -> None:
    root = shared / "data/kitti_object/training"
    source = KittiObjectSource(location=str(root))
    index = [pair.id for pair in source.pairs].index(f"image_2/{item}.png")
    depth = source[index].depth
    assert depth is not None
    assert np.array_equal(depth[0].numpy(), project(root, item, root / f"image_2/{item}.png").astype(np.float32))


def predict(model: nn.Module, path: Path, size: tuple[int, ...]) -> tuple[Array, NDArray[np.bool_]]:
    """Ask the model as kdcli does: the whole image at its own size."""
    with Image.open(path) as opened, torch.no_grad():
        said = model(to_tensor(opened.convert("RGB")))
    opinion = np.ones(size, bool) if said.valid is None else said.valid[0, 0].numpy()
    return to_size(said.depth, size), opinion


def predict_resized(model: Any, path: Path, size: tuple[int, ...]) -> tuple[Array, NDArray[np.bool_]]:
    """Ask the bare network, with the image cut and resized by PIL."""
    height, width = model.input_size
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if not hasattr(model, "crop"):
        with torch.no_grad():
            said = model(to_tensor(picture.resize((width, height), Image.Resampling.BILINEAR)))
        return to_size(said.depth, size), np.ones(size, bool)
    left, top = (picture.width - 360) // 2, (picture.height - 360) // 2
    square = picture.crop((left, top, left + 360, top + 360)).resize((width, height), Image.Resampling.BILINEAR)
    predicted, opinion = np.zeros(size), np.zeros(size, bool)
    with torch.no_grad():
        predicted[top : top + 360, left : left + 360] = to_size(model.map(to_tensor(square)), (360, 360))
    opinion[top : top + 360, left : left + 360] = True
    return predicted, opinion


def to_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255


def to_size(depth: torch.Tensor, size: tuple[int, ...]) -> Array:
    resized = torch.nn.functional.interpolate(depth, size, mode="bilinear", align_corners=False)
    numbers: Array = resized[0, 0].double().numpy()
    return numbers


def fit(p: Array, g: Array, kind: DepthKind) -> Array:
    disparity = kind is DepthKind.AFFINE_DISPARITY
    columns = np.stack([p, np.ones_like(p)], axis=1)
    scale, shift = np.linalg.lstsq(columns, 1 / g if disparity else g, rcond=None)[0]
    fitted = np.maximum(p * scale + shift, 1e-6)
    return 1 / fitted if disparity else fitted


def measure(p: Array, g: Array) -> tuple[float, float, float]:
    within = np.maximum(p / g, g / p) < 1.25
    return float(np.mean(np.abs(p - g) / g)), float(np.sqrt(np.mean((p - g) ** 2))), float(within.mean())


def pairs(data: Path, images: str) -> Iterator[Pair]:
    group, _, item = images.partition("/")
    if group == "kitti":
        drive = "2011_09_26_drive_0001_sync"
        depth = f"data_depth_annotated/train/{drive}/proj_depth/groundtruth/image_02/{int(item):010d}.png"
        image = data / f"kitti/raw/2011_09_26/{drive}/image_02/data/{int(item):010d}.png"
        yield image, read(data / "kitti" / depth, 256)
    elif group == "object":
        image = data / f"kitti_object/training/image_2/{item}.png"
        yield image, project(data / "kitti_object/training", item, image)
    elif group == "nyu":
        for image in sorted((data / "nyu_depth_v2/sync/basement_0001a").glob("rgb_*.jpg")):
            yield image, read(image.parent / image.name.replace("rgb", "sync_depth").replace("jpg", "png"), 1000)
    elif group == "nyu5000":
        folder = data / "nyu_multitask_5000/ExpNYUD_joint"
        yield folder / "000464.png", read(folder / "depth_gt_000464.png", 5000)
    else:
        root, colour, depth, scale = {
            "tum": ("tum_rgbd/slambook_ch7", "rgb", "depth", 5000),
            "icl": ("icl_nuim/dense_RGBD/data", "color", "depth", 5000),
            "redwood": ("redwood_rgbd/RGBD", "color", "depth", 1000),
        }[group]
        images_, depths = (sorted(p for p in (data / root / name).iterdir()) for name in (colour, depth))
        for image, truth in zip(images_, depths, strict=True):
            yield image, read(truth, scale)


def read(path: Path, scale: int) -> Array:
    with Image.open(path) as opened:
        stored = np.asarray(opened).astype(np.float64)
    metres: Array = stored / scale
    return metres


def project(root: Path, item: str, image: Path) -> Array:
    """Project one LiDAR sweep into the image; of several points in a pixel the nearest counts."""
    lines = (root / f"calib/{item}.txt").read_text().splitlines()
    calib = {k: np.array(v.split(), float) for k, v in (line.split(":") for line in lines if ":" in line)}
    points = np.fromfile(root / f"velodyne/{item}.bin", np.float32).reshape(-1, 4)[:, :3].astype(np.float64)
    rectify, place = np.eye(4), np.eye(4)
    rectify[:3, :3] = calib["R0_rect"].reshape(3, 3)
    place[:3] = calib["Tr_velo_to_cam"].reshape(3, 4)
    u, v, z = calib["P2"].reshape(3, 4) @ rectify @ place @ np.c_[points, np.ones(len(points))].T
    with Image.open(image) as opened:
        width, height = opened.size
    x, y = (np.round(a[z > 0] / z[z > 0]).astype(int) - 1 for a in (u, v))
    z = z[z > 0]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    nearest = np.full((height, width), np.inf)
    np.minimum.at(nearest, (y[inside], x[inside]), z[inside])
    return np.where(np.isfinite(nearest), nearest, 0)
