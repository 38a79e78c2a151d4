"""Values that can be worked out by hand, and what must never happen."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses.affine_invariant import AffineInvariant, least_squares, normalise
from kdcli.losses.base import DepthLoss
from kdcli.losses.pointwise import L1, BerHu, LogL1
from kdcli.losses.silog import SiLog
from kdcli.losses.ssim import Ssim
from kdcli.losses.structure import Gradient, Normals, erode, sobel
from kdcli.maps import masked_mean, safe_sqrt
from kdcli.types import DepthKind

EVERY: list[DepthLoss] = [
    L1(), L1(form="hu"), L1(form="hu", zero_floor=False), LogL1(), BerHu(), BerHu(threshold=0.3), SiLog(),
    SiLog(variance_focus=1.0, per="image"), SiLog(unbiased=True), Ssim(), Ssim(border="zero", data_range=1.0),
    Gradient(), Gradient(form="linear"), Gradient(form="hu"), Gradient(form="hu", zero_floor=False), Normals(),
    AffineInvariant(), AffineInvariant(trim=0.2, gradient=0.5), AffineInvariant(align="least-squares"),
]
ids = [f"{loss.name}-{i}" for i, loss in enumerate(EVERY)]


def maps(count: int = 2, size: tuple[int, int] = (14, 18), seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 1, *size)
    prediction = 1 + 4 * torch.rand(shape, generator=generator, dtype=torch.float64)
    target = 1 + 4 * torch.rand(shape, generator=generator, dtype=torch.float64)
    return prediction, target, torch.rand(shape, generator=generator) > 0.2


@pytest.mark.parametrize("loss", EVERY, ids=ids)
def test_hidden_pixels_change_nothing_even_when_they_are_not_numbers(loss: DepthLoss) -> None:
    prediction, target, valid = maps()
    if isinstance(loss, Ssim) and loss.border == "zero":
        pytest.skip("reads the filler of hidden pixels through its window, as documented")
    value = loss(prediction, target, valid)
    for bad in (math.nan, math.inf, 0.0, -3.0, 1e9):
        broken = torch.where(valid, prediction, bad).requires_grad_()
        again = loss(broken, torch.where(valid, target, bad), valid)
        assert torch.allclose(again, value, rtol=1e-12)
        (gradient,) = torch.autograd.grad(again, broken)
        assert torch.isfinite(gradient).all()
        assert (gradient[~valid] == 0).all()


@pytest.mark.parametrize("loss", EVERY, ids=ids)
def test_nothing_valid_gives_zero_with_a_zero_gradient(loss: DepthLoss) -> None:
    prediction, target, valid = maps()
    prediction.requires_grad_()
    value = loss(prediction, target, torch.zeros_like(valid))
    (gradient,) = torch.autograd.grad(value, prediction)
    assert value == 0 and (gradient == 0).all()


@pytest.mark.parametrize("loss", EVERY, ids=ids)
def test_one_image_without_valid_pixels_is_harmless(loss: DepthLoss) -> None:
    prediction, target, valid = maps()
    valid[1] = False
    alone = loss(prediction[:1], target[:1], valid[:1])
    assert torch.allclose(loss(prediction, target, valid), alone, rtol=1e-9)


@pytest.mark.parametrize("loss", EVERY, ids=ids)
def test_gradients_agree_with_finite_differences(loss: DepthLoss) -> None:
    if isinstance(loss, BerHu) and loss.threshold is None:
        pytest.skip("its border carries no gradient on purpose; the form with a threshold is checked")
    prediction, target, valid = maps(size=(6, 7), seed=3)
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss(p, target, valid), (prediction,), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("loss", EVERY, ids=ids)
def test_no_tensor_of_another_device_slips_in(loss: DepthLoss) -> None:
    prediction, target, valid = (tensor.to("meta") for tensor in maps())
    assert loss(prediction.float(), target.float(), valid).is_meta


@pytest.mark.parametrize("loss", EVERY, ids=ids)
def test_half_precision_is_computed_in_float32(loss: DepthLoss) -> None:
    prediction, target, valid = maps()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(prediction.bfloat16(), target.float(), valid)
    want = loss(prediction.bfloat16().float(), target.float(), valid)
    assert value.dtype == torch.float32 and torch.equal(value, want)


def test_maps_of_different_shapes_are_refused() -> None:
    prediction, target, valid = maps()
    with pytest.raises(ConfigError, match=r"\(2, 1, 14, 17\)"):
        L1()(prediction, target[..., :-1], valid)


def test_pointwise_losses_by_hand() -> None:
    target = torch.tensor([1.0, 2.0, 4.0, 8.0]).view(1, 1, 2, 2)
    valid = torch.tensor([True, True, True, False]).view(1, 1, 2, 2)
    prediction = target + torch.tensor([0.1, -0.2, 1.0, 99.0]).view(1, 1, 2, 2)
    assert L1()(prediction, target, valid).item() == pytest.approx(1.3 / 3)
    want = (math.log(0.6 / 0.5) + math.log(0.7 / 0.5) + math.log(1.5 / 0.5)) / 3
    assert L1(form="hu")(prediction, target, valid).item() == pytest.approx(want, rel=1e-5)
    logs = LogL1()(2 * target, target, valid).item()
    assert logs == pytest.approx(math.log(2), rel=1e-6)
    # c = 0.2 * 1.0, from the valid pixels alone: 0.1 and 0.2 linear, 1.0 squared.
    assert BerHu()(prediction, target, valid).item() == pytest.approx((0.1 + 0.2 + 1.04 / 0.4) / 3, rel=1e-5)


def test_pointwise_map_is_zero_where_nothing_counts_and_averages_to_the_loss() -> None:
    prediction, target, valid = maps()
    for loss in (L1(), LogL1(), BerHu(), Ssim()):
        found = loss.map(prediction, torch.where(valid, target, math.nan), valid)
        assert found.shape == prediction.shape and (found[~valid] == 0).all()
        assert torch.allclose(found.sum() / valid.sum(), loss(prediction, target, valid))


def test_negative_and_zero_depths_are_clamped_before_the_logarithm() -> None:
    target = torch.ones(1, 1, 8, 8)
    for loss in (LogL1(), SiLog(), Gradient()):
        prediction = torch.linspace(-1, 1, 64).view(1, 1, 8, 8).requires_grad_()
        value = loss(prediction, target, torch.ones_like(target, dtype=torch.bool))
        value.backward()
        assert torch.isfinite(value) and prediction.grad is not None and torch.isfinite(prediction.grad).all()


def test_silog_of_a_common_factor() -> None:
    _, target, valid = maps()
    everywhere = torch.ones_like(valid)
    assert SiLog()(1.5 * target, target, everywhere).item() == pytest.approx(10 * math.sqrt(0.15) * math.log(1.5))
    assert SiLog(variance_focus=0)(1.5 * target, target, everywhere).item() == pytest.approx(10 * math.log(1.5))
    per_image = torch.tensor([0.5, 3.0]).view(2, 1, 1, 1)
    assert SiLog(variance_focus=1, per="image")(per_image * target, target, valid).item() == pytest.approx(0, abs=1e-6)
    assert SiLog(variance_focus=1)(per_image * target, target, valid).item() > 1


def test_ssim_of_an_inverted_map_is_bad_unless_signs_are_hidden() -> None:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    x = (5 + 0.1 * rows + 0.05 * columns).double()[None, None]
    everywhere = torch.ones_like(x, dtype=torch.bool)

    def similarity(y: Tensor, absolute: bool) -> float:
        return 1 - Ssim(border="zero", data_range=1.0, absolute=absolute)(y, x, everywhere).item()

    assert similarity(1.1 * x + 0.2, False) == pytest.approx(0.987028, abs=1e-6)
    mirrored = x.max() + x.min() - x
    assert similarity(mirrored, True) == pytest.approx(0.870244, abs=1e-5)
    assert similarity(mirrored, False) == pytest.approx(-0.043039, abs=1e-5)


def test_ssim_is_accurate_in_float32_and_blind_to_the_unit() -> None:
    generator = torch.Generator().manual_seed(0)
    target = 70 + torch.rand(1, 1, 24, 24, generator=generator, dtype=torch.float64)
    prediction = target + 0.05 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    everywhere = torch.ones_like(target, dtype=torch.bool)
    exact = Ssim()(prediction, target, everywhere).item()
    assert Ssim()(prediction.float(), target.float(), everywhere).item() == pytest.approx(exact, rel=1e-3)
    assert Ssim()(1000 * prediction, 1000 * target, everywhere).item() == pytest.approx(exact, rel=1e-9)


def test_sobel_of_a_ramp_and_gradient_losses_of_an_offset() -> None:
    ramp = (2.0 * torch.arange(9) + 3.0 * torch.arange(7)[:, None])[None, None]
    along_x, along_y = sobel(ramp)
    assert (along_x[..., 1:-1] == 16).all() and (along_y[..., 1:-1, :] == 24).all()
    everywhere = torch.ones_like(ramp, dtype=torch.bool)
    assert Gradient(form="hu")(ramp + 1, ramp, everywhere).item() == pytest.approx(0, abs=1e-6)
    assert Gradient(form="hu", border="zero")(ramp + 1, ramp, everywhere) > 0.1
    assert Normals()(ramp + 5, ramp, everywhere).item() == pytest.approx(0, abs=1e-6)
    # One scale: neighbours of e = 0.5 x differ by 0.5 along x and not along y.
    tilted = ramp + 0.5 * torch.arange(9)
    assert Gradient(form="linear", scales=1)(tilted, ramp, everywhere).item() == pytest.approx(0.5)
    assert Gradient(form="linear", scales=2)(tilted, ramp, everywhere).item() == pytest.approx(1.5)


def test_normals_of_perpendicular_slopes() -> None:
    flat = torch.full((1, 1, 6, 6), 2.0)
    # Sobel gives 8 times the slope: one eighth per pixel is a normal at 45 degrees.
    tilted = flat + torch.arange(6) / 8
    inner = torch.zeros_like(flat, dtype=torch.bool)
    inner[..., 1:-1] = True
    pixels = Normals().map(tilted, flat, torch.ones_like(inner))
    assert torch.allclose(pixels[inner], torch.tensor(1 - math.sqrt(0.5)), atol=1e-6)


def test_erode_keeps_the_border_and_widens_holes() -> None:
    valid = torch.ones(1, 1, 7, 7, dtype=torch.bool)
    assert erode(valid).all()
    valid[..., 3, 3] = False
    assert (~erode(valid)).sum() == 9


def test_affine_invariant_alignment() -> None:
    prediction, target, valid = maps()
    factor, offset = torch.tensor([2.0, 0.3]).view(2, 1, 1, 1), torch.tensor([-9.0, 4.0]).view(2, 1, 1, 1)
    for loss in (AffineInvariant(), AffineInvariant(trim=0.2, gradient=0.5), AffineInvariant(align="least-squares")):
        assert loss(factor * target + offset, target, valid).item() == pytest.approx(0, abs=1e-9)
    centred = normalise(prediction, valid)
    for image, mask in zip(centred, valid, strict=True):
        assert image[mask].median() == 0
        assert image[mask].abs().mean().item() == pytest.approx(1)
    scale, shift = least_squares(target, factor * target + offset, valid)
    assert torch.allclose(scale, factor.double()) and torch.allclose(shift, offset.double())
    constant = torch.full_like(prediction, 3.0)
    assert torch.isfinite(AffineInvariant()(constant, target, valid))
    assert least_squares(constant, target, valid)[0].abs().max() == 0


def test_trim_leaves_out_the_largest_residuals_of_each_image() -> None:
    target = torch.arange(20.0).view(1, 1, 4, 5)
    prediction = target.clone()
    prediction[..., -1, -1] += 1000
    everywhere = torch.ones_like(target, dtype=torch.bool)
    kept = AffineInvariant(trim=0.2)
    residual = normalise(prediction, everywhere) - normalise(target, everywhere)
    want = residual.abs().flatten().sort().values[:16].mean()
    assert kept(prediction, target, everywhere).item() == pytest.approx(want.item(), rel=1e-5)


def test_helpers_have_finite_gradients_at_zero() -> None:
    x = torch.zeros(3, requires_grad=True)
    root = safe_sqrt(x)
    root.sum().backward()
    assert (root == 0).all() and x.grad is not None and (x.grad == 0).all()
    assert safe_sqrt(torch.tensor(4.0)) == 2
    assert masked_mean(torch.tensor([1.0, math.nan]), torch.tensor([True, False])) == 1


def test_kinds_and_options() -> None:
    for loss in (L1(), LogL1(), BerHu(), SiLog()):
        assert loss.needs.kinds == {DepthKind.METRIC, DepthKind.SCALE_INVARIANT}
    assert AffineInvariant().needs.kinds == frozenset(DepthKind)
    wrong = [
        lambda: L1(alpha=0), lambda: LogL1(floor=0), lambda: BerHu(share=0), lambda: BerHu(threshold=-1),
        lambda: SiLog(variance_focus=1.5), lambda: Ssim(window=10), lambda: Ssim(data_range=0),
        lambda: Gradient(scales=0), lambda: AffineInvariant(trim=1), lambda: AffineInvariant(gradient=-1),
    ]
    for make in wrong:
        with pytest.raises(ConfigError):
            make()
