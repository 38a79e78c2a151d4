"""Agreement with what the original authors' code gives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.losses.affine_invariant import AffineInvariant, least_squares
from kdcli.losses.hu import Hu
from kdcli.losses.pointwise import L1
from kdcli.losses.silog import SiLog
from kdcli.losses.ssim import Ssim
from kdcli.losses.structure import Gradient, Normals, sobel
from kdcli.mixers.dfad import absolute_difference, adversarial
from kdcli.testing import fake_context, toy_batch
from kdcli.types import DepthKind, Prediction


class Case:
    def __init__(self, folder: Path, name: str) -> None:
        path = folder / "golden" / "losses" / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"no golden numbers at {path}")
        self.arrays: Any = np.load(path)

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.arrays[key]))

    def agrees(self, value: Tensor, name: str, at: Tensor, gradient: str, tolerance: float = 1e-9) -> None:
        assert value.item() == pytest.approx(self[f"out.{name}"].item(), rel=tolerance)
        (found,) = torch.autograd.grad(value, at)
        want = self[f"grad.{gradient}"].reshape(found.shape)
        assert (found - want).abs().max() <= tolerance * want.abs().max()


class Fixed(nn.Module):
    """A model that gives the same map whatever it is shown."""

    def __init__(self, depth: Tensor) -> None:
        super().__init__()
        self.depth, self.depth_kind, self.depth_range = depth, DepthKind.METRIC, (0.1, 10.0)
        self.taps: dict[str, Any] = {}

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.depth, kind=self.depth_kind)


def test_hu_depth_gradient_and_normal(shared: Path) -> None:
    case = Case(shared, "hu_depth_gradient_normal")
    target = case["in.gt"]
    everywhere = torch.ones_like(target, dtype=torch.bool)
    prediction = case["in.pred"].requires_grad_()
    case.agrees(L1(form="hu", zero_floor=False)(prediction, target, everywhere), "depth", prediction, "depth_wrt_pred")
    case.agrees(Normals(border="zero")(prediction, target, everywhere), "normal", prediction, "normal_wrt_pred")
    slopes = Gradient(form="hu", zero_floor=False, border="zero")(prediction, target, everywhere)
    assert slopes.item() == pytest.approx((case["out.dx"] + case["out.dy"]).item(), rel=1e-9)
    (found,) = torch.autograd.grad(slopes, prediction)
    assert torch.allclose(found, case["grad.dx_wrt_pred"] + case["grad.dy_wrt_pred"], rtol=0, atol=1e-12)
    # The original's kernels have the opposite sign, which no loss sees.
    assert torch.allclose(torch.cat(sobel(target, "zero"), dim=1), -case["out.sobel_gt"])


def test_hu_composite(shared: Path) -> None:
    case = Case(shared, "hu_depth_gradient_normal")
    prediction, target = case["in.pred"].requires_grad_(), case["in.gt"]
    everywhere = torch.ones_like(target, dtype=torch.bool)
    case.agrees(Hu(zero_floor=False)(prediction, target, everywhere), "total", prediction, "total_wrt_pred")
    # Without their constants the terms have the same gradient.
    floored = Hu()(prediction, target, everywhere)
    assert floored.item() == pytest.approx(case["out.total"].item() - 3 * math.log(0.5), rel=1e-9)
    (found,) = torch.autograd.grad(floored, prediction)
    assert torch.allclose(found, case["grad.total_wrt_pred"], rtol=0, atol=1e-12)
    ctx = fake_context(
        student=Fixed(prediction), teachers=Fixed(target), batch=toy_batch(size=(18, 22), dtype=torch.float64)
    )
    terms = Hu(zero_floor=False, gradient=2.0).terms(ctx)
    want = {"depth": case["out.depth"], "gradient": 2 * (case["out.dx"] + case["out.dy"]), "normal": case["out.normal"]}
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(
        {name: value.item() for name, value in want.items()}, rel=1e-9
    )
    assert list(Hu(gradient=0).terms(ctx)) == ["depth", "normal"]


def test_dfad_student_and_generator(shared: Path) -> None:
    case = Case(shared, "dfad")
    student, teacher = case["in.student"].requires_grad_(), case["in.teacher"]
    everywhere = torch.ones_like(teacher, dtype=torch.bool)
    case.agrees(L1()(student, teacher, everywhere), "student_l1", student, "student_l1_wrt_student")
    for valid in (None, everywhere):
        difference = absolute_difference(student, teacher, valid)
        case.agrees(adversarial(difference), "generator", student, "generator_wrt_student")


def test_bts_silog(shared: Path) -> None:
    case = Case(shared, "bts_silog")
    prediction, target = case["in.pred"].requires_grad_(), case["in.gt"]
    case.agrees(SiLog()(prediction, target, target > 1.0), "silog", prediction, "silog_wrt_pred")


def test_adabins_silog(shared: Path) -> None:
    case = Case(shared, "adabins")
    target = case["in.gt"]
    prediction = functional.interpolate(case["in.pred"], target.shape[-2:], mode="bilinear", align_corners=True)
    prediction.requires_grad_()
    # The original widens float32 constants: seven digits.
    loss = SiLog(unbiased=True)(prediction, target, target > 1e-3)
    case.agrees(loss, "silog", prediction, "silog_wrt_pred_full", 1e-7)


def test_midas_least_squares(shared: Path) -> None:
    case = Case(shared, "align_scale_shift")
    prediction, target = case["in.prediction"][:, None].requires_grad_(), case["in.target"][:, None]
    for mask, suffix in (("mask", ""), ("mask_image1_empty", "_empty")):
        scale, shift = least_squares(prediction, target, case[f"in.{mask}"][:, None] > 0)
        assert torch.allclose(scale.detach().flatten(), case[f"out.scale{suffix}"], rtol=1e-9, atol=1e-12)
        assert torch.allclose(shift.detach().flatten(), case[f"out.shift{suffix}"], rtol=1e-9, atol=1e-12)
    valid = case["in.mask"][:, None] > 0
    loss = AffineInvariant(align="least-squares")(prediction, target, valid)
    case.agrees(loss, "ssi_l1", prediction, "ssi_l1_wrt_prediction")


def test_tie_kd_ssim(shared: Path) -> None:
    case = Case(shared, "tiekd_response")
    prediction, target = case["in.student_depth"].requires_grad_(), case["in.teacher_depth"]
    everywhere = torch.ones_like(target, dtype=torch.bool)
    loss = Ssim(data_range=1.0, border="zero", absolute=True)(prediction, target, everywhere)
    # The original's window is float32 widened to float64.
    case.agrees(1.5 * loss, "ssim_w15", prediction, "ssim_w15_wrt_depth", 1e-4)
