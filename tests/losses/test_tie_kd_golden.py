"""TIE-KD's losses give what the released code gives, value and gradient."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_losses_golden import Case
from torch import Tensor

from kdcli.losses.response import ResponseMse, ResponseSi, ResponseSsim, ResponseSsimMse, ResponseSsimSi
from kdcli.losses.tie_kd import TieKd, TieKdDepth, TieKdDpm
from kdcli.types import DepthKind, Prediction

DATASETS = [("kitti", 0.8), ("nyu", 0.15)]


def context(probs: Tensor | None, centers: Tensor | None, depth: Tensor, teacher: Tensor) -> Any:
    """What a step knows, for maps that are given."""
    out = Prediction(depth=depth, kind=DepthKind.METRIC, probs=probs, centers=centers)
    return SimpleNamespace(
        student=SimpleNamespace(out=out), teachers={"teacher": None},
        target=lambda view: (teacher, torch.isfinite(teacher) & (teacher > 0)),
    )


def centers_of(case: Case) -> Tensor:
    edges = case["in.bin_edges"]
    return ((edges[1:] + edges[:-1]) / 2).double()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("dataset", "configured"), DATASETS)
def test_dpm_term(shared: Path, dataset: str, configured: float, channels_last: bool) -> None:
    case = Case(shared, f"tiekd_{dataset}")
    probs = case["in.logits"].softmax(1)
    probs = probs.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    ctx = context(probs.requires_grad_(), centers_of(case), case["out.depth"], case["in.teacher_depth"])
    for sigma in (0.5, configured):
        value = TieKdDpm(form="released", sigma=sigma).terms(ctx)["tie-kd-dpm"]
        # Constants are float32 in the original: seven digits.
        case.agrees(value, f"l_dpm_mean_sigma{sigma}", probs, f"l_dpm_mean_sigma{sigma}_wrt_prob", 2e-7)


@pytest.mark.parametrize(("dataset", "configured"), DATASETS)
def test_depth_term(shared: Path, dataset: str, configured: float) -> None:
    case = Case(shared, f"tiekd_{dataset}")
    depth = case["out.depth"].requires_grad_()
    value = TieKdDepth(form="released").terms(context(None, None, depth, case["in.teacher_depth"]))["tie-kd-depth"]
    # The window is float32 in the original.
    case.agrees(value, "l_depth", depth, "l_depth_wrt_depth", 1e-4)


@pytest.mark.parametrize(("dataset", "configured"), DATASETS)
def test_total(shared: Path, dataset: str, configured: float) -> None:
    case = Case(shared, f"tiekd_{dataset}")
    logits = case["in.logits"].requires_grad_()
    probs, centers = logits.softmax(1), centers_of(case)
    depth = (probs * centers.view(1, -1, 1, 1)).sum(1, keepdim=True)
    terms = TieKd(form="released").terms(context(probs, centers, depth, case["in.teacher_depth"]))
    case.agrees(terms["dpm"] + terms["depth"], "total", logits, "total_wrt_logits", 1e-4)


def test_sky_is_cut_as_a_slice(shared: Path) -> None:
    case = Case(shared, "tiekd_kitti_sky_cut")
    teacher, student = (
        case[f"in.{who}_blocks"].double().repeat_interleave(7, 0).repeat_interleave(8, 1)[None, None]
        for who in ("teacher", "student")
    )
    edges = torch.linspace(1e-3, 80, 258)
    centers = ((edges[1:] + edges[:-1]) / 2).double()
    student.requires_grad_()
    probs = (-(((centers.view(1, -1, 1, 1) - student) / 2).square()) / 2).softmax(1)
    ctx = context(probs, centers, student, teacher)
    terms = TieKd(form="released").terms(ctx)
    total = terms["dpm"] + terms["depth"]
    assert terms["dpm"].item() == pytest.approx(case["out.l_dpm_slice"].item(), rel=1e-6)
    assert terms["depth"].item() / 9 == pytest.approx(case["out.l_depth_slice"].item(), rel=1e-4)
    assert total.item() == pytest.approx(case["out.total_slice"].item(), rel=1e-4)
    (found,) = torch.autograd.grad(total, student)
    want = case["grad.total_slice_wrt_depth_sub"]
    assert (found[0, 0, ::9, ::16] - want).abs().max() <= 1e-4 * want.abs().max()
    assert (found[0, 0, :104] == 0).all(), "no window of a row below 110 reaches up here"


RESPONSES = [
    (ResponseSi(form="released"), "si", 1e-9), (ResponseSi(form="released", si_weight=1.5), "si_w15", 1e-9),
    (ResponseSsim(form="released"), "ssim_w15", 1e-4), (ResponseMse(form="released"), "mse", 1e-9),
    (ResponseSsimSi(form="released"), "ssim_si_w15", 1e-4), (ResponseSsimMse(form="released"), "ssim_mse_w15", 1e-4),
]


@pytest.mark.parametrize(("loss", "name", "tolerance"), RESPONSES, ids=[name for _, name, _ in RESPONSES])
def test_responses(shared: Path, loss: Any, name: str, tolerance: float) -> None:
    case = Case(shared, "tiekd_response")
    depth = case["in.student_depth"].requires_grad_()
    (value,) = loss.terms(context(None, None, depth, case["in.teacher_depth"])).values()
    case.agrees(value, name, depth, f"{name}_wrt_depth", tolerance)
