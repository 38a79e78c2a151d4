"""Every protocol beside what its authors do, written out anew in numpy, its pixels worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from evals_doubles import Answers, ListSource
from numpy.typing import NDArray

from kdcli.evals.protocol import PROTOCOLS
from kdcli.evals.runner import evaluate
from kdcli.types import Sample

Map = NDArray[np.float64]
Cut = Callable[[Map], Map]
ELSEWHERE = {"fidelity": "tests/evals/test_evals_fidelity.py"}
"""It measures against a model."""


def whole(one: Map) -> Map:
    return one


def benchmark_cut(one: Map) -> Map:
    return one[23:375, 13:1229]  # of 375 x 1242


def at(one: Map, height: int, width: int) -> Map:
    """Resize by the pixel whose centre is nearest."""
    rows = ((np.arange(height) + 0.5) * one.shape[0] / height).astype(int)
    return one[rows][:, ((np.arange(width) + 0.5) * one.shape[1] / width).astype(int)]


def hu(one: Map) -> Map:
    return at(one, 240, 320)[6:234, 8:312]


def fastdepth(one: Map) -> Map:
    return at(at(one, 250, 333)[11:239, 14:318], 224, 224)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """size: of the ground truth. shown: what of it is seen and measured. box: rows and columns of that which count.

    range: in which truth counts. clip: of predictions, None = not at all. fit: depth or inverse depth by least squares,
    by median, or none. columns: those that are fitted to. near: whether an inverse depth below zero is the nearest.
    """

    size: tuple[int, int] = (480, 640)
    shown: Cut = whole
    box: tuple[int, int, int, int] | None = None
    range: tuple[float, float] = (1e-3, 80.0)
    clip: tuple[float, float] | None = (1e-3, 80.0)
    fit: str = ""
    columns: int | None = None
    near: bool = False
    mirrored: bool = False
    inclusive: bool = False


FREE = {"range": (0.0, np.inf), "clip": None}
TEN = {"range": (1e-3, 10.0), "clip": (1e-3, 10.0)}
KITTI = Rule(size=(375, 1242), shown=benchmark_cut)
FRAME = Rule(size=(375, 1242))
EIGEN, GARG, GARG_CUT, EIGEN_CUT = (45, 471, 41, 601), (153, 371, 44, 1197), (143, 349, 43, 1172), (117, 321, 43, 1172)
ZERO_SHOT = {
    "nyu": Rule(box=EIGEN, fit="depth", **TEN),
    "kitti": replace(KITTI, box=EIGEN_CUT, fit="depth", range=(1e-5, 80.0), clip=(1e-5, 80.0)),
    "eth3d": Rule(size=(300, 1300), fit="depth", columns=1024, range=(1e-5, np.inf), clip=(1e-5, np.inf)),
    "scannet": Rule(fit="depth", **TEN),
    "diode": Rule(fit="depth", range=(0.0, np.inf), clip=(0.6, 350.0)),
}  # fmt: skip
SLOWTV = Rule(fit="inverse", near=True)
ZOE = Rule(size=(500, 660), box=EIGEN, mirrored=True)
OUTDOOR = replace(FRAME, box=GARG, mirrored=True)


def up_to(rule: Rule, high: float, low: float = 1e-3) -> Rule:
    return replace(rule, range=(low, high), clip=(max(low, 1e-6), high))


RULES: dict[str, Rule] = {
    "plain": Rule(),
    "nyu-eigen": Rule(box=EIGEN, **TEN),
    "nyu-hu-crop": Rule(shown=hu, inclusive=True, **FREE),
    "nyu-dorn": Rule(box=(20, 460, 24, 616), **TEN),
    "nyu-border": Rule(box=(45, 471, 43, 607), **TEN),
    "nyu-fastdepth": Rule(shown=fastdepth, **FREE),
    "nyu-lightly": Rule(box=EIGEN, range=(0.1, 10.0), clip=(0.1, 10.0)),
    "nyu-ultralytics": up_to(Rule(shown=lambda one: at(one, 640, 640), fit="median"), 100.0),
    "kitti-garg": replace(KITTI, box=GARG_CUT),
    "kitti-eigen": replace(KITTI, box=EIGEN_CUT),
    # Boxes of the full frame lie within the cut, whose corner is (23, 13).
    "kitti-garg-full": replace(KITTI, box=(153 - 23, 371 - 23, 44 - 13, 1197 - 13)),
    "kitti-eigen-full": replace(KITTI, box=(124 - 23, 342 - 23, 44 - 13, 1197 - 13)),
    "kitti-garg-50": up_to(replace(KITTI, box=GARG_CUT), 50.0),
    "kitti-eigen-50": up_to(replace(KITTI, box=EIGEN_CUT), 50.0),
    "kitti-garg-frame": replace(FRAME, box=GARG),
    "kitti-eigen-frame": replace(FRAME, box=(124, 342, 44, 1197)),
    "kitti-garg-frame-50": up_to(replace(FRAME, box=GARG), 50.0, 1.0),
    "kitti-selection": Rule(size=(352, 1216), **FREE),
    **{f"marigold-{name}": rule for name, rule in ZERO_SHOT.items()},
    **{f"zipdepth-{name}": rule for name, rule in ZERO_SHOT.items()},
    "zipdepth-kitti": replace(KITTI, box=EIGEN_CUT, fit="depth"),
    "zipdepth-eth3d": up_to(replace(ZERO_SHOT["eth3d"], columns=None), 60.0, 1e-5),
    "zipdepth-diode": up_to(ZERO_SHOT["diode"], 80.0, 0.6),
    "slowtv-nyu": up_to(replace(SLOWTV, box=(195, 476, 23, 616)), 100.0),
    "slowtv-diode": up_to(SLOWTV, 150.0),
    "slowtv-ddad": up_to(SLOWTV, 250.0),
    "slowtv-sintel": up_to(SLOWTV, 100.0),
    "slowtv-tum": up_to(SLOWTV, 100.0),
    "zoe-sunrgbd": up_to(ZOE, 8.0, 0.0),
    "zoe-ibims": up_to(ZOE, 10.0, 0.0),
    "zoe-diode-indoor": up_to(ZOE, 10.0),
    "zoe-diode-outdoor": OUTDOOR,
    "zoe-hypersim": ZOE,
    "zoe-vkitti2": replace(KITTI, box=GARG_CUT, mirrored=True),
    "zoe-ddad": OUTDOOR,
    "zoe-diml-indoor": up_to(ZOE, 10.0, 0.0),
    "zoe-diml-outdoor": up_to(OUTDOOR, 80.0, 2.0),
    "packnet-ddad": up_to(FRAME, 200.0, 0.0),
    "unidepth-ddad": up_to(FRAME, 120.0, 0.05),
    "make3d-c1": up_to(Rule(size=(55, 305), shown=lambda one: one[17:38], fit="median"), 70.0),
    "make3d-c2": up_to(Rule(size=(55, 305), shown=lambda one: one[17:38], fit="median"), 80.0),
    "ibims": Rule(**FREE), "boundary-f1": Rule(**FREE), "geometry": Rule(),
}


def test_none_is_left_out() -> None:
    assert RULES.keys() | ELSEWHERE.keys() == PROTOCOLS.keys()


@pytest.mark.parametrize("name", RULES)
def test_numbers_of_a_protocol(name: str) -> None:
    rule, draw = RULES[name], np.random.default_rng(len(name))
    truth = (draw.gamma(2.0, 12.0, rule.size) * (draw.random(rule.size) > 0.3)).astype(np.float32)
    seen = rule.shown(truth)
    first, second = (np.exp(draw.normal(0, 0.3, seen.shape)) * np.maximum(seen, 0.5) for _ in range(2))
    if rule.near:
        first = 1 / (1 / first + 0.05)
        first[::7, ::7] = 1e6  # without that shift of all others its inverse depth is fitted below zero
    first, second = first.astype(np.float32), second.astype(np.float32)
    image = torch.zeros(3, *rule.size)
    image[..., : rule.size[1] // 2] = 1

    def answer(shown: torch.Tensor) -> torch.Tensor:
        assert tuple(shown.shape[-2:]) == seen.shape
        said = first if shown[0, 0, -1, 0] == 1 else second[:, ::-1].copy()
        return torch.from_numpy(said)[None, None]

    sample = Sample(id="one", image=image, depth=torch.from_numpy(truth)[None], valid=torch.from_numpy(truth > 0)[None])
    found = evaluate({"m": Answers(answer)}, ListSource([sample]), name)["m"].metrics
    said = (first.astype(np.float64) + second) / 2 if rule.mirrored else first.astype(np.float64)
    for metric, value in expected(rule, said, seen.astype(np.float64)).items():
        # What float32 and float64 tell apart at a ratio of 1.25 may be a pixel or two.
        within = {"abs": 2e-5} if metric == "delta1" else {"rel": 2e-6}
        assert found[metric] == pytest.approx(value, **within), metric


def expected(rule: Rule, said: Map, truth: Map) -> dict[str, float]:
    counted = (truth > rule.range[0]) & (truth < rule.range[1])
    if rule.box is not None:
        inside = np.zeros_like(counted)
        inside[rule.box[0] : rule.box[1], rule.box[2] : rule.box[3]] = True
        counted &= inside
    assert counted.any()
    depth = aligned(rule, said, truth, counted)[counted]
    if rule.clip is not None:
        depth = np.clip(depth, *rule.clip)
    true = truth[counted]
    ratio = np.maximum(depth / true, true / depth)
    return {
        "abs_rel": np.mean(np.abs(depth - true) / true), "rmse": np.sqrt(np.mean((depth - true) ** 2)),
        "delta1": np.mean(ratio <= 1.25 if rule.inclusive else ratio < 1.25),
    }


def aligned(rule: Rule, said: Map, truth: Map, counted: NDArray[np.bool_]) -> Map:
    if rule.fit == "median":
        return said * np.median(truth[counted]) / np.median(said[counted])
    if not rule.fit:
        return said
    fitted = counted.copy()
    if rule.columns is not None:
        kept = (np.arange(rule.columns) * said.shape[1] / rule.columns).astype(int)
        fitted[:, np.setdiff1d(np.arange(said.shape[1]), kept)] = False
    inverse = rule.fit == "inverse"
    x, y = (1 / one[fitted] if inverse else one[fitted] for one in (said, truth))
    scale, shift = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0]
    line = scale * (1 / said if inverse else said) + shift
    if not inverse:
        return np.maximum(line, 1e-6)
    if rule.near:
        assert (line[counted] <= 0).any()
    return np.where(line > 0, 1 / np.where(line > 0, line, 1), 0)
