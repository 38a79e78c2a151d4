"""The zero-shot protocols beside their formulas, written out anew in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from evals_doubles import Answers, ListSource
from numpy.typing import NDArray

from kdcli.evals.metrics import NAMES
from kdcli.evals.protocol import find
from kdcli.evals.runner import evaluate
from kdcli.types import DepthKind, Sample

Map = NDArray[np.float64]
SETS = {
    "nyu": ((480, 640), 1e-3, 10.0, (1e-3, 10.0)), "kitti": ((375, 1242), 1e-5, 80.0, (1e-5, 80.0)),
    "eth3d": ((800, 1200), 1e-5, np.inf, (1e-5, np.inf)), "scannet": ((480, 640), 1e-3, 10.0, (1e-3, 10.0)),
    "diode": ((384, 512), None, None, (0.6, 350.0)),
}  # fmt: skip


def counted(name: str, truth: Map, mask: Map) -> tuple[Map, Map, Map]:
    """Return the cut, its truth and what counts of it."""
    _, low, high, _ = SETS[name]
    valid = mask.astype(bool) if low is None else (truth > low) & (truth < high)
    rows, columns = truth.shape
    if name == "kitti":
        cut = np.s_[rows - 352 : rows, (columns - 1216) // 2 : (columns - 1216) // 2 + 1216]
        truth, valid = truth[cut], valid[cut]
        box = np.zeros_like(valid)
        box[int(0.3324324 * 352) : int(0.91351351 * 352), int(0.0359477 * 1216) : int(0.96405229 * 1216)] = True
        return truth, valid & box, cut
    if name == "nyu":
        box = np.zeros_like(valid)
        box[45:471, 41:601] = True
        valid = valid & box
    return truth, valid, np.s_[:, :]


def solved(said: Map, goal: Map, valid: Map, side: int | None) -> Map:
    """Return scale and shift by least squares; with a side, on the columns that nearest resizing of the width keeps."""
    if side is not None and side / max(said.shape) < 1:
        factor = max(said.shape) / side
        kept = (np.arange(int(said.shape[1] / factor)) * factor).astype(int)
        said, goal, valid = said[:, kept], goal[:, kept], valid[:, kept]
    design = np.stack([said[valid], np.ones(valid.sum())], axis=1)
    return np.linalg.lstsq(design, goal[valid], rcond=None)[0]


def expected(name: str, said: Map, truth: Map, mask: Map, disparity: bool) -> dict[str, float]:
    truth, valid, cut = counted(name, truth, mask)
    said = said[cut]
    side = 1024 if name == "eth3d" else None
    if disparity:
        positive = truth > 0
        goal = np.where(positive, 1 / np.where(positive, truth, 1), 0)
        scale, shift = solved(said, goal, valid & positive & (said > 0), side)
        depth = 1 / np.clip(said * scale + shift, 1e-3, None)
    else:
        scale, shift = solved(said, truth, valid, side)
        depth = said * scale + shift
    depth = np.clip(np.clip(depth, *SETS[name][3]), 1e-6, None)[valid]
    g = truth[valid]
    log = np.log(depth) - np.log(g)
    ratio = np.maximum(depth / g, g / depth)
    return {
        "abs_rel": np.mean(np.abs(depth - g) / g), "sq_rel": np.mean((depth - g) ** 2 / g),
        "rmse": np.sqrt(np.mean((depth - g) ** 2)), "rmse_log": np.sqrt(np.mean(log**2)),
        "log10": np.mean(np.abs(np.log10(depth) - np.log10(g))),
        "silog": 100 * np.sqrt(np.mean(log**2) - np.mean(log) ** 2),
        **{f"delta{power}": np.mean(ratio < 1.25**power) for power in (1, 2, 3)},
    }


@pytest.mark.parametrize("disparity", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_the_five_sets(name: str, disparity: bool) -> None:
    size = SETS[name][0]
    draw = np.random.default_rng(len(name))
    truth = (draw.uniform(0.4, 9, size) * (1 if name in ("nyu", "scannet") else 6)).astype(np.float32)
    mask = draw.random(size) > 0.3
    truth[~mask & (name != "diode")] = 0
    seen = np.where(truth > 0, truth, 2) * np.exp(draw.normal(0, 0.1, size))
    said = ((0.7 / seen - 0.01) if disparity else (0.3 * seen - 0.2)).astype(np.float32)
    sample = Sample(id="one", image=torch.zeros(3, *size), depth=torch.from_numpy(truth)[None],
                    valid=torch.from_numpy(mask)[None])  # fmt: skip
    kind = DepthKind.AFFINE_DISPARITY if disparity else DepthKind.AFFINE_DEPTH
    rows, columns = size
    top, left = (rows - 352, (columns - 1216) // 2) if name == "kitti" else (0, 0)

    def answer(image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        return torch.from_numpy(said)[None, None, top : top + height, left : left + width]

    found = evaluate({"m": Answers(answer, kind)}, ListSource([sample]), f"marigold-{name}")["m"]
    want = expected(name, said.astype(np.float64), truth.astype(np.float64), mask, disparity)
    # What is told apart at a ratio of 1.25 by float32 and float64 may be a pixel or two.
    for metric in NAMES:
        within = {"abs": 1e-5} if metric.startswith("delta") else {"rel": 1e-6}
        assert found.metrics[metric] == pytest.approx(want[metric], **within), metric


def test_zipdepth_reads_them_with_its_own_ranges() -> None:
    assert find("zipdepth-eth3d").max_depth == 60 and find("zipdepth-eth3d").fit.side is None
    assert find("zipdepth-diode").min_depth == 0.6 and find("zipdepth-diode").max_depth == 80
    for name in SETS:
        rules = find(f"zipdepth-{name}")
        assert rules.fit.positive and rules.fit.floor == 1e-3 and rules.least == 10


def test_a_fit_leaves_out_columns_and_no_rows() -> None:
    columns = find("marigold-eth3d").fit.columns(4032, 6048)
    assert columns is not None and int(columns.sum()) == 1024 and len(columns) == 6048
    assert find("marigold-eth3d").fit.columns(768, 1024) is None
