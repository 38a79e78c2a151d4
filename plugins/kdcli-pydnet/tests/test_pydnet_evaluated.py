"""The numbers of the trained networks on real images, as ``kdcli eval`` measures them: each by its set's own source."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from kdcli.evals.baseline import Constant
from kdcli.evals.runner import evaluate
from kdcli.plugins import registry
from kdcli.sources import load_source
from kdcli.types import Batch, Prediction

Row = tuple[float, float, float]
FILES = {
    "pydnet": "mobile_pydnet_kitti/mobile_pydnet_kitti_pruned35_dequant.pth",
    "pydnetpp": "pydnetpp_matterport/pydnetpp_matterport_dequant.pth",
    "upydnet-kitti": "upydnet/micro-kitti/from_scratch_48x48lab/upydnet.pth",
    "upydnet-nyu": "upydnet/micro-nyuv2/from_scratch_48x48lab/upydnet.pth",
}
SPECS = {
    "kitti": "kitti:{}/kitti", "object": "kitti-object:{}/kitti_object", "nyu": "nyu:{}/nyu_depth_v2",
    "nyu5000": "folder:{}/nyu_multitask_5000/ExpNYUD_joint/000464.png,depths=.,codec=tum",
    "slambook": "rgbd:{}/slambook_rgbd_pgm", "tum": "rgbd:{}/tum_rgbd/slambook_ch7",
    "icl": "rgbd:{}/icl_nuim,codec=tum", "redwood": "rgbd:{}/redwood_rgbd", "sunrgbd": "rgbd:{}/sunrgbd,codec=sunrgbd",
    "7scenes": "rgbd:{}/7scenes_redkitchen/data",
}  # fmt: skip
# network, images, (AbsRel, RMSE, delta1) of each image or of all, scaled by medians, the same after least squares
ROWS: list[tuple[str, str, list[Row], list[Row]]] = [
    ("pydnet", "kitti", [(0.083, 5.23, 0.888), (0.084, 5.96, 0.880)], [(0.062, 3.34, 0.950), (0.069, 4.26, 0.936)]),
    ("pydnet", "object", [(0.139, 3.11, 0.800), (0.146, 5.73, 0.826)], [(0.121, 2.85, 0.846), (0.153, 6.70, 0.792)]),
    ("upydnet-kitti", "kitti", [(0.036, 2.31, 0.990), (0.044, 4.08, 0.954)],
     [(0.032, 2.66, 0.987), (0.042, 3.78, 0.961)]),
    ("upydnet-kitti", "object", [(0.126, 3.94, 0.903), (0.149, 7.55, 0.727)],
     [(0.087, 3.89, 0.933), (0.142, 7.54, 0.715)]),
    ("upydnet-nyu", "nyu", [(0.210, 1.19, 0.577)], [(0.159, 1.05, 0.770)]),
    ("upydnet-nyu", "nyu5000", [(0.132, 0.53, 0.786)], [(0.115, 0.45, 0.879)]),
    ("upydnet-nyu", "slambook", [(0.272, 1.35, 0.482)], [(0.242, 1.29, 0.561)]),
    ("upydnet-nyu", "tum", [(0.245, 1.01, 0.475)], [(0.159, 1.00, 0.838)]),
    ("upydnet-nyu", "icl", [(0.206, 0.62, 0.650)], [(0.170, 0.50, 0.687)]),
    ("upydnet-nyu", "redwood", [(0.203, 0.45, 0.630)], [(0.160, 0.34, 0.734)]),
    ("upydnet-nyu", "sunrgbd", [(0.238, 1.79, 0.523)], [(0.257, 1.68, 0.442)]),
    ("upydnet-nyu", "7scenes", [(0.237, 0.56, 0.588)], [(0.183, 0.44, 0.668)]),
    ("pydnetpp", "nyu", [(0.355, 1.71, 0.349)], [(0.194, 0.83, 0.693)]),
    ("pydnetpp", "nyu5000", [(0.127, 0.38, 0.927)], [(0.095, 0.35, 0.946)]),
    ("pydnetpp", "slambook", [(0.308, 1.49, 0.553)], [(0.374, 1.42, 0.417)]),
    ("pydnetpp", "tum", [(0.155, 0.65, 0.756)], [(0.162, 0.56, 0.737)]),
    ("pydnetpp", "icl", [(0.174, 0.56, 0.744)], [(0.127, 0.35, 0.844)]),
    ("pydnetpp", "redwood", [(0.182, 0.36, 0.682)], [(0.171, 0.35, 0.712)]),
    ("pydnetpp", "sunrgbd", [(0.162, 1.09, 0.720)], [(0.162, 0.94, 0.755)]),
    ("pydnetpp", "7scenes", [(0.307, 0.65, 0.523)], [(0.256, 0.49, 0.534)]),
]
CONSTANT = {
    "kitti": [(0.470, 12.88, 0.252), (0.483, 14.02, 0.239)], "object": [(0.289, 4.10, 0.505), (0.345, 12.33, 0.396)],
    "nyu": [(0.275, 1.33, 0.519)], "nyu5000": [(0.264, 0.79, 0.524)], "slambook": [(0.494, 2.16, 0.241)],
    "tum": [(0.243, 1.04, 0.517)], "icl": [(0.265, 0.69, 0.509)], "redwood": [(0.236, 0.44, 0.590)],
    "sunrgbd": [(0.472, 1.93, 0.384)],
}  # fmt: skip
COUNTED = {("upydnet-kitti", "kitti"): [31421, 33887], ("pydnet", "kitti"): [90728, 96063],
           ("upydnet-kitti", "object"): [7230, 7027], ("pydnet", "object"): [20280, 20216]}  # fmt: skip


class Remembering(nn.Module):
    """Runs a network once an image, so that two alignments cost one pass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.depth_kind = network, network.depth_kind
        self.seen: dict[tuple[str, ...], Prediction] = {}

    def from_batch(self, batch: Batch) -> Prediction:
        if batch.ids not in self.seen:
            self.seen[batch.ids] = self.network(batch.image)
        return self.seen[batch.ids]


def marked(row: tuple[str, str, list[Row], list[Row]]) -> object:
    marks = [pytest.mark.slow] if row[1] == "7scenes" else []
    return pytest.param(*row, id=f"{row[0]} {row[1]}", marks=marks)


@pytest.mark.parametrize(("network", "images", "median", "fitted"), map(marked, ROWS))
def test_published_network(shared: Path, network: str, images: str, median: list[Row], fitted: list[Row]) -> None:
    model = registry.build("teacher", f"{network.split('-')[0]}:{shared}/data/weights/{FILES[network]}").eval()
    memory = Remembering(model)
    for align, rows in (("median", median), ("scale-shift", fitted)):
        found = close(shared, memory, images, align, rows)
    if (network, images) in COUNTED:
        assert found == COUNTED[network, images]


@pytest.mark.parametrize("images", CONSTANT)
def test_what_a_network_must_beat(shared: Path, images: str) -> None:
    close(shared, Constant(), images, None, CONSTANT[images])


def close(shared: Path, model: object, images: str, align: str | None, rows: list[Row]) -> list[int]:
    """Measure, hold each image, or the mean of all, against what is known, and return the pixels that count."""
    rules = "plain" if images in ("kitti", "object") else "plain+min0.1+max10"
    source = load_source(SPECS[images].format(shared / "data"))
    found = evaluate({"m": model}, source, rules, align=align)["m"]  # type: ignore[dict-item]
    values = found.values[:, [0, 2, 6]]
    got = (values if len(rows) > 1 else values.mean(0, keepdim=True)).tolist()
    for one, want in zip(got, rows, strict=True):
        # Cells are rounded to three digits, of RMSE to two.
        assert one == pytest.approx(want, abs=0.0061) and one[::2] == pytest.approx(want[::2], abs=0.0008), align
    return [int(count) for count in found.pixels]
