"""Trained networks on real frames give the numbers that were measured elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evals_doubles import ListSource
from evals_pydnet import MobilePydnet, PydnetPlusPlus
from PIL import Image
from torch import Tensor, nn

from kdcli.evals.baseline import Constant
from kdcli.evals.protocol import Protocol
from kdcli.evals.runner import evaluate
from kdcli.sources.sets.kitti_object import KittiObjectSource
from kdcli.types import Batch, Prediction, Sample

WEIGHTS = "data/weights"


class Remembering(nn.Module):
    """Runs a network once per image, so that several alignments cost one pass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seen: dict[str, Prediction] = {}

    def from_batch(self, batch: Batch) -> Prediction:
        if batch.ids[0] not in self.seen:
            self.seen[batch.ids[0]] = self.network(batch.image)
        return self.seen[batch.ids[0]]


def frame(image: Path, depth: Path, scale: float, size: tuple[int, int]) -> Sample:
    """Read a pair; the image is resized in 8 bits, as the reference numbers were made."""
    metres = torch.from_numpy(np.asarray(Image.open(depth)).astype(np.float32) / scale)[None]
    return Sample(id=image.stem, image=resized(image, size), depth=metres, valid=metres > 0)


def resized(image: Path, size: tuple[int, int]) -> Tensor:
    picture = Image.open(image).convert("RGB").resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def close(model: nn.Module, source: ListSource, protocol: Protocol | str, align: str | None, want: list[float]) -> None:
    result = evaluate({"m": model}, source, protocol, align=align, batch_size=1)["m"]
    got = [result.metrics[name] for name in ("abs_rel", "rmse", "delta1")]
    assert got == pytest.approx(want, abs=0.0051), align  # two digits are known of RMSE, three of the others
    assert got[0] == pytest.approx(want[0], abs=0.00051)
    assert got[2] == pytest.approx(want[2], abs=0.00061)


@pytest.fixture(scope="module")
def kitti(shared: Path) -> list[Sample]:
    drive = "2011_09_26_drive_0001_sync"
    root = shared / "data" / "kitti"
    return [
        frame(
            root / "raw" / "2011_09_26" / drive / "image_02" / "data" / f"{number:010d}.png",
            root / "data_depth_annotated" / "train" / drive / "proj_depth/groundtruth/image_02" / f"{number:010d}.png",
            256, (192, 640),
        )
        for number in (5, 50)
    ]  # fmt: skip


def test_disparity_network_on_kitti(shared: Path, kitti: list[Sample]) -> None:
    model = MobilePydnet(shared / WEIGHTS / "mobile_pydnet_kitti/mobile_pydnet_kitti_pruned35_dequant.pth")
    memory = Remembering(model)
    for row, align, want in (
        (0, "median", [0.083, 5.23, 0.888]), (0, "auto", [0.062, 3.34, 0.950]),
        (1, "median", [0.084, 5.96, 0.880]), (1, "scale-shift", [0.069, 4.26, 0.936]),
    ):  # fmt: skip
        close(memory, ListSource([kitti[row]]), "plain", align, want)


def test_disparity_network_on_projected_sweeps(shared: Path) -> None:
    model = MobilePydnet(shared / WEIGHTS / "mobile_pydnet_kitti/mobile_pydnet_kitti_pruned35_dequant.pth")
    source = KittiObjectSource(location=str(shared / "data" / "kitti_object"))
    rows = {
        "000000": ([0.139, 3.11, 0.800], [0.121, 2.85, 0.846], [0.289, 4.10, 0.505], 20280),
        "000002": ([0.146, 5.73, 0.826], [0.153, 6.70, 0.792], [0.345, 12.33, 0.396], 20216),
    }
    for i, (median, fitted, constant, pixels) in enumerate(rows.values()):
        image = source.pairs[i].image
        assert isinstance(image, Path) and image.stem == list(rows)[i]
        frames = ListSource([replace(source[i], image=resized(image, (192, 640)))])
        memory = Remembering(model)
        close(memory, frames, "plain", "median", median)
        close(memory, frames, "plain", "scale-shift", fitted)
        close(Constant(), frames, "plain", None, constant)
        assert evaluate({"c": Constant()}, frames)["c"].pixels.tolist() == [pixels]


def test_constant_on_kitti(kitti: list[Sample]) -> None:
    for sample, want in zip(kitti, ([0.470, 12.88, 0.252], [0.483, 14.02, 0.239]), strict=True):
        close(Constant(), ListSource([sample]), "plain", None, want)
    pixels = evaluate({"c": Constant()}, ListSource(kitti))["c"].pixels
    assert pixels.tolist() == [90728, 96063]


def test_affine_depth_network_indoors(shared: Path) -> None:
    folder = shared / "data" / "icl_nuim" / "dense_RGBD" / "data"
    names = sorted(path.name for path in (folder / "color").glob("*.png"))
    source = ListSource([frame(folder / "color" / n, folder / "depth" / n, 5000, (448, 640)) for n in names])
    assert len(source) == 3
    network = PydnetPlusPlus(shared / WEIGHTS / "pydnetpp_matterport/pydnetpp_matterport_dequant.pth")
    model, protocol = Remembering(network), Protocol(name="indoor", min_depth=0.1, max_depth=10.0)
    close(model, source, protocol, "median", [0.174, 0.56, 0.744])
    close(model, source, protocol, "auto", [0.127, 0.35, 0.844])


def test_a_real_teacher_output(shared: Path) -> None:
    folder = shared / "data" / "fastdepth_npy"
    depth, pred = (torch.from_numpy(np.load(next(folder.rglob(f"{name}.npy")))) for name in ("depth", "pred"))
    sample = Sample(id="one", image=torch.zeros(3, 224, 224), depth=depth.reshape(1, 224, 224).float())

    class Stored(nn.Module):
        def from_batch(self, batch: object) -> object:
            made = Constant().from_batch(batch)  # type: ignore[arg-type]
            return replace(made, depth=pred.reshape(1, 1, 224, 224).float())

    close(Stored(), ListSource([sample]), "plain", None, [0.1405, 0.618, 0.7773])
