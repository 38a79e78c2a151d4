"""Published evaluation code and this one give the same numbers on the same maps."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evals_doubles import Answers, ListSource
from torch import Tensor

from kdcli.evals.metrics import NAMES, per_image
from kdcli.evals.protocol import Protocol, find
from kdcli.evals.runner import evaluate
from kdcli.types import Sample

SAME = {
    "a1": "delta1", "a2": "delta2", "a3": "delta3", "d1": "delta1", "d2": "delta2", "d3": "delta3",
    "log_10": "log10", "lg10": "log10", "LG10": "log10", "rms": "rmse", "log_rms": "rmse_log", "ABS_REL": "abs_rel",
    "absrel": "abs_rel", "RMSE": "rmse", "DELTA1": "delta1", "DELTA2": "delta2", "DELTA3": "delta3",
}  # fmt: skip


@functools.cache
def maps(shared: Path, name: str, scale: float) -> tuple[dict[str, Tensor], dict[str, Any]]:
    folder = shared / "golden" / "metrics"
    stored = np.load(folder / f"{name}.npz")
    tensors = {key.removesuffix("_u16"): torch.from_numpy(stored[key].astype(np.float32) / scale) for key in stored}
    return tensors, json.loads((folder / "meta.json").read_text())["cases"][name]["expected"]


def agree(got: dict[str, float], want: dict[str, float]) -> None:
    checked = 0
    for key, value in want.items():
        name = SAME.get(key, key)
        if name in NAMES:
            assert got[name] == pytest.approx(value, rel=1e-6), key
            checked += 1
    assert checked >= 5


def run(protocol: str | Protocol, gt: Tensor, pred: Tensor, flipped: Tensor | None = None) -> dict[str, float]:
    """Measure stored maps through the whole runner; a marked corner tells the mirrored image from the image."""
    image = torch.zeros(3, *gt.shape[-2:])
    image[..., : gt.shape[-1] // 2] = 1

    def answer(shown: Tensor) -> Tensor:
        mirrored = shown[0, 0, -1, 0] == 0
        chosen = pred if not mirrored or flipped is None else flipped.flip(-1)
        return chosen.expand(len(shown), 1, *pred.shape)

    source = ListSource([Sample(id="one", image=image, depth=gt[None], valid=(gt > 0)[None])])
    return dict(evaluate({"m": Answers(answer)}, source, protocol)["m"].metrics)


@pytest.mark.parametrize(
    ("case", "protocol"),
    [("bts_eigen", "nyu-eigen"), ("toolbox_eigen", "nyu-eigen"), ("tiekd_eigen", "nyu-eigen"),
     ("adabins_eigen", "nyu-eigen+flip")],
)  # fmt: skip
def test_nyu(shared: Path, case: str, protocol: str) -> None:
    m, expected = maps(shared, "nyu", 1000)
    agree(run(protocol, m["gt"], m["pred"], m["pred_flipped"]), expected[case])


def test_nyu_counts_the_published_pixels(shared: Path) -> None:
    m, _ = maps(shared, "nyu", 1000)
    meta = json.loads((shared / "golden" / "metrics" / "meta.json").read_text())["cases"]
    source = ListSource([Sample(id="one", image=torch.zeros(3, 480, 640), depth=m["gt"][None])])
    result = evaluate({"m": Answers(lambda image: m["pred"][None, None])}, source, "nyu-eigen")["m"]
    assert int(result.pixels) == meta["nyu"]["valid_pixels"]


@pytest.mark.parametrize(
    ("case", "protocol"),
    [("adabins_garg", "kitti-garg+flip"), ("adabins_eigen", "kitti-eigen+flip"), ("toolbox_kb_garg", "kitti-garg"),
     ("tiekd_kb_garg", "kitti-garg"), ("bts_kb_garg_full_frame", "kitti-garg-full"),
     ("bts_kb_eigen_full_frame", "kitti-eigen-full")],
)  # fmt: skip
def test_kitti(shared: Path, case: str, protocol: str) -> None:
    m, expected = maps(shared, "kitti", 256)
    agree(run(protocol, m["gt"], m["pred"], m["pred_flipped"]), expected[case])


def test_kitti_pasted_without_crop(shared: Path) -> None:
    m, expected = maps(shared, "kitti", 256)
    protocol = Protocol(name="pasted", frame=find("kitti-garg-full").frame)
    agree(run(protocol, m["gt"], m["pred"]), expected["bts_kb_full_frame_nocrop"])


@pytest.mark.parametrize(("name", "scale", "rows", "high"), [("nyu", 1000, 0, 10.0), ("kitti", 256, 110, 80.0)])
def test_similarity_to_a_teacher(shared: Path, name: str, scale: float, rows: int, high: float) -> None:
    m, expected = maps(shared, name, scale)
    pred, teacher = (m[key].clamp(1e-3, high)[None, None, rows:] for key in ("pred", "pred_flipped"))
    values, _ = per_image(pred, teacher, torch.ones_like(pred, dtype=torch.bool))
    case = expected["tiekd_eigen" if name == "nyu" else "tiekd_kb_garg"]
    want = {key.removesuffix("_T"): value for key, value in case.items() if key.endswith("_T")}
    agree(dict(zip(NAMES, values[0].tolist(), strict=True)), want)


@pytest.mark.parametrize(("case", "aggregation"), [("revisit_average", "mse"), ("boost_average", "image")])
def test_plain_average(shared: Path, case: str, aggregation: str) -> None:
    m, expected = maps(shared, "plain", 1000)
    source = ListSource(
        [Sample(id=str(i), image=torch.full((3, 228, 304), i / 4), depth=m["gt"][i][None]) for i in range(2)]
    )
    model = Answers(lambda image: torch.stack([m["pred"][round(float(i[0, 0, 0]) * 4)][None] for i in image]))
    protocol = Protocol(name="hu", min_depth=0.0, max_depth=None, clamp=False, delta_inclusive=True)
    result = evaluate({"m": model}, source, protocol.modified(aggregation))["m"]
    agree(dict(result.metrics), expected[case])


def test_holes(shared: Path) -> None:
    m, expected = maps(shared, "plain", 1000)
    pred, gt = m["pred"][0][None, None], m["gt_holes_image0"][None, None]
    for case, inclusive in (("sparse_to_dense_holes_image0", False), ("revisit_nan_holes_image0", True)):
        values, _ = per_image(pred, gt, gt > 0, delta_inclusive=inclusive)
        want = {k: v for k, v in expected[case].items() if k != "RMSE"}  # stored as 0 for a single image
        agree(dict(zip(NAMES, values[0].tolist(), strict=True)), want)
