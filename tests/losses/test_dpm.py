"""Depth probability maps against their known answers, and the lean divergence against the direct formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from test_tie_kd_golden import context
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses import dpm_kl as lean
from kdcli.losses.dpm import Grid, target_dpm
from kdcli.losses.dpm_kl import EPS, LEAST, Map, dpm_kl
from kdcli.losses.response import ResponseMse
from kdcli.losses.tie_kd import TieKd, TieKdDepth, TieKdDpm

FORMS = [("released", "released"), ("corrected", "gaussian"), ("corrected", "released")]
RANGES = {"kitti": (80.0, 257), "nyu": (10.0, 49)}


def bins(name: str) -> Tensor:
    far, count = RANGES[name]
    edges = torch.linspace(1e-3, far, count + 1, dtype=torch.float64)
    return (edges[1:] + edges[:-1]) / 2


def log_bins(count: int = 64) -> Tensor:
    edges = torch.linspace(math.log(0.1), math.log(10.0), count + 1, dtype=torch.float64)
    return ((edges[1:] + edges[:-1]) / 2).exp()


def at(depth: float) -> Tensor:
    return torch.full((1, 1, 1, 1), depth, dtype=torch.float64)


def direct(probs: Tensor, depth: Tensor, centers: Tensor, sigma: float, form: str, dpm: Any) -> Tensor:
    """The formula as it stands on paper, over all bins."""
    target = target_dpm(depth, centers, sigma=sigma, dpm=dpm)
    if form == "released":
        inside = target * (target / (probs + EPS) + EPS).log()
        return torch.where(probs != 0, inside, 0.0).sum()
    return (target * (target.clamp_min(1e-300).log() - probs.clamp_min(LEAST).log())).sum()


@pytest.mark.parametrize(("name", "sigma", "depth", "read"), [
    ("kitti", 0.5, 1.0, 2.32), ("kitti", 0.8, 1.0, 3.55), ("nyu", 0.5, 1.0, 2.33), ("nyu", 0.15, 1.0, 1.05),
    ("nyu", 0.5, 2.0, 2.96), ("nyu", 0.5, 8.0, 7.04), ("kitti", 0.5, 78.0, 77.09), ("kitti", 0.5, 40.0, 40.00),
])
def test_the_released_map_is_biased_near_the_ends(name: str, sigma: float, depth: float, read: float) -> None:
    centers = bins(name)
    found = target_dpm(at(depth), centers, sigma=sigma, dpm="released")
    assert found.sum().item() == pytest.approx(1)
    assert (found.flatten() * centers).sum().item() == pytest.approx(read, abs=0.006)


@pytest.mark.parametrize(("name", "sigma", "depth"), [("kitti", 0.5, 2.0), ("nyu", 0.15, 1.0), ("nyu", 0.2, 9.0)])
def test_the_gaussian_map_is_not(name: str, sigma: float, depth: float) -> None:
    centers = bins(name)
    found = target_dpm(at(depth), centers, sigma=sigma)
    assert (found.flatten() * centers).sum().item() == pytest.approx(depth, abs=1e-3)
    spread = (found.flatten() * (centers - depth).square()).sum().sqrt().item()
    assert spread == pytest.approx(sigma, rel=0.05), "sigma is really applied"


@pytest.mark.parametrize(("name", "depth", "sigma", "value"), [
    ("kitti", 20.0, 0.5, 2.288004), ("kitti", 20.0, 0.8, 1.777048), ("kitti", 5.0, 0.5, 2.250912),
    ("kitti", 5.0, 0.8, 1.924795), ("nyu", 3.0, 0.15, 1.905755), ("nyu", 3.0, 0.5, 0.345693),
])
def test_divergence_from_a_student_that_knows_nothing(name: str, depth: float, sigma: float, value: float) -> None:
    centers = bins(name)
    flat = torch.full((1, len(centers), 1, 1), 1 / len(centers), dtype=torch.float64)
    how = Map(grid=Grid.of(centers), sigma=sigma, dpm="released", form="released")
    assert dpm_kl(flat, at(depth), centers, how).item() == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("block", [1, 10**3, 10**9])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("form", "dpm"), FORMS)
@pytest.mark.parametrize("spacing", ["even", "log"])
def test_lean_is_direct(
    spacing: str, form: Any, dpm: Any, channels_last: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lean, "CACHED_BLOCK", block)
    torch.manual_seed(0)
    centers, sigma = (bins("nyu"), 0.3) if spacing == "even" else (log_bins(), 0.1)
    depth = 0.05 + 10.3 * torch.rand(3, 1, 4, 5, dtype=torch.float64)
    probs = (4 * torch.randn(3, len(centers), 4, 5, dtype=torch.float64)).softmax(1)
    probs[0, :, 0, 0] = 0.0
    probs[0, 3, 0, 0] = 1.0
    kind = torch.channels_last if channels_last else torch.contiguous_format
    probs = probs.contiguous(memory_format=kind).requires_grad_()
    value = dpm_kl(probs, depth, centers, Map(grid=Grid.of(centers), sigma=sigma, dpm=dpm, form=form))
    wanted = direct(probs, depth, centers, sigma, form, dpm)
    assert value.item() == pytest.approx(wanted.item(), rel=1e-9)
    (found,), (want,) = torch.autograd.grad(value, probs), torch.autograd.grad(wanted, probs)
    assert torch.allclose(found, want, rtol=1e-6, atol=1e-9)


def test_weights_and_the_cut_leave_pixels_out() -> None:
    centers = bins("nyu")
    depth = 1 + 5 * torch.rand(2, 1, 6, 4, dtype=torch.float64)
    weight = (torch.rand(2, 1, 6, 4) > 0.4).double()
    depth[weight == 0] = float("inf")
    probs = torch.randn(2, 49, 6, 4, dtype=torch.float64).softmax(1).requires_grad_()
    how = Map(grid=Grid.of(centers), sigma=0.2, dpm="gaussian", form="corrected", top=2)
    value = dpm_kl(probs, depth, centers, how, weight)
    known = weight[:, :, 2:].bool().expand(-1, 49, -1, -1)
    target = target_dpm(depth[:, :, 2:].clamp_max(9), centers, sigma=0.2)
    terms = target * (target.clamp_min(1e-300).log() - probs[:, :, 2:].log())
    assert value.item() == pytest.approx(terms[known].sum().item())
    (gradient,) = torch.autograd.grad(value, probs)
    assert torch.isfinite(gradient).all() and (gradient[:, :, :2] == 0).all()
    assert (gradient[:, :, 2:][~known] == 0).all()


def test_a_student_that_gives_the_target_nothing_is_told_so_only_in_the_corrected_form() -> None:
    centers = bins("kitti")
    logits = torch.zeros(1, 257, 1, 1, dtype=torch.float64)
    logits[:, :60] = 2000.0  # the other bins underflow
    values = {}
    for form in ("released", "corrected"):
        how = Map(grid=Grid.of(centers), sigma=0.5, dpm="released", form=form)  # type: ignore[arg-type]
        values[form] = dpm_kl(logits.softmax(1), at(60.0), centers, how).item()
    assert values["released"] == 0.0
    assert values["corrected"] > 50


def test_the_released_form_hardly_minds_a_student_five_metres_off() -> None:
    centers = bins("kitti")
    elsewhere = target_dpm(at(10.0), centers, sigma=0.5, dpm="released")
    how = Map(grid=Grid.of(centers), sigma=0.5, dpm="released", form="released")
    assert dpm_kl(elsewhere, at(5.0), centers, how).abs().item() == pytest.approx(0.004, abs=0.001)


def test_the_released_map_is_a_plateau() -> None:
    centers = bins("kitti")
    found = target_dpm(at(40.0), centers, sigma=0.5, dpm="released").flatten()
    inside = found > 0
    assert float(found.max() / found[inside].min()) == pytest.approx(2.2, abs=0.05)
    assert float((centers[inside] - 40).abs().max()) == pytest.approx(4.3, abs=0.3)


def test_ssim_as_released_cannot_tell_a_slope_from_its_mirror_image() -> None:
    steps = torch.arange(32, dtype=torch.float64)
    x = (5 + 0.1 * steps[:, None] + 0.05 * steps)[None, None]
    alike, mirrored = 1.1 * x + 0.2, x.max() + x.min() - x

    def ssim(y: Tensor, form: Any) -> float:
        (value,) = TieKdDepth(form=form).terms(context(None, None, x, y)).values()
        return 1 - value.item()

    assert ssim(alike, "released") == pytest.approx(0.987028, abs=1e-5)
    assert ssim(mirrored, "released") == pytest.approx(0.870244, abs=2e-4), "by the window in float32"
    assert ssim(mirrored, "corrected") < 0.1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="same two or more bins"):
        Grid.of(torch.tensor([[1.0, 2, 3], [1.0, 2, 4]]))
    with pytest.raises(ConfigError, match="even in depth"):
        Grid.of(torch.tensor([1.0, 2, 3, 7]))
    with pytest.raises(ConfigError, match="sigma=0"):
        TieKdDpm(sigma=0)
    with pytest.raises(ConfigError, match=r"alpha=1\.5"):
        TieKd(alpha=1.5)
    with pytest.raises(ConfigError, match="form=new"):
        ResponseMse(form="new")  # type: ignore[arg-type]
    depth = torch.ones(1, 1, 8, 8)
    with pytest.raises(ConfigError, match="sky=8"):
        TieKdDepth(sky=8).terms(context(None, None, depth, depth))
    for sky in (-1, 1.5):
        with pytest.raises(ConfigError, match=f"sky={sky} must be a number of rows, or a share"):
            TieKdDepth(sky=sky)
    with pytest.raises(ConfigError, match="distribution over depth bins"):
        TieKdDpm().terms(context(None, None, depth, depth))


def test_rows_of_sky_may_be_a_share_of_the_height() -> None:
    assert TieKd(sky=0.3125).rows_left_out(352, 704) == TieKd(sky=110).rows_left_out(352, 704) == 110
    assert [TieKdDpm(sky=0.3125).rows_left_out(height, 64) for height in (96, 32, 1)] == [30, 10, 0]


def test_targets_that_are_not_known_count_only_as_released() -> None:
    teacher = torch.full((1, 1, 16, 16), 4.0, dtype=torch.float64)
    teacher[..., :8] = 0.0
    depth = torch.full_like(teacher, 5.0)
    (right,) = ResponseMse().terms(context(None, None, depth, teacher)).values()
    (released,) = ResponseMse(form="released").terms(context(None, None, depth, teacher)).values()
    assert right.item() == pytest.approx(1.0)
    assert released.item() == pytest.approx((1.0 + 25.0) / 2)
