"""Formulas are found as they were put in, and only as much of them as helps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kdcli.calibration.choose import CONSTANT, choose
from kdcli.calibration.forms import EXPONENT, NONE, SCALE, SHIFT, forms_of, line, median, scale_exponent
from kdcli.calibration.samples import Samples
from kdcli.types import DepthKind

METRIC, DISPARITY, DEPTH = DepthKind.METRIC, DepthKind.AFFINE_DISPARITY, DepthKind.AFFINE_DEPTH


def _samples(said: Tensor, metres: Tensor) -> Samples:
    """N x P numbers of N images."""
    count, pixels = said.shape
    return Samples(said=said.flatten().float(), metres=metres.flatten().float(),
                   image=torch.arange(count).repeat_interleave(pixels), ids=tuple(map(str, range(count))))


def _scenes(images: int = 20, pixels: int = 400, seed: int = 0) -> Tensor:
    """Depths of 1 to 9 m, of images whose means differ."""
    generator = torch.Generator().manual_seed(seed)
    middle = 1.5 + 4 * torch.rand(images, 1, generator=generator)
    return middle * (0.7 + torch.rand(images, pixels, generator=generator))


def _noisy(depth: Tensor, pixel: float = 0.1, image: float = 0.0, wrong: float = 0.0, seed: int = 1) -> Tensor:
    """Depth times noise of each pixel and each image; a share of the pixels is anything."""
    generator = torch.Generator().manual_seed(seed)
    made = depth * (pixel * torch.randn(depth.shape, generator=generator)).exp()
    made = made * (image * torch.randn(len(depth), 1, generator=generator)).exp()
    anywhere = 0.1 + 40 * torch.rand(depth.shape, generator=generator)
    return torch.where(torch.rand(depth.shape, generator=generator) < wrong, anywhere, made)


def test_the_median_is_weighted() -> None:
    values, weights = torch.tensor([5.0, 1.0, 3.0]), torch.tensor([1.0, 1.0, 1.0])
    assert median(values, weights) == 3 and median(values, torch.tensor([3.0, 1.0, 1.0])) == 5


def test_a_line_is_found_among_outliers() -> None:
    torch.manual_seed(0)
    x = torch.rand(1000, dtype=torch.float64)
    y = 3 * x - 1
    y[:250] += 5 * torch.rand(250, dtype=torch.float64)
    slope, offset = line(x, y, torch.ones(1000, dtype=torch.float64))
    assert slope == pytest.approx(3, abs=1e-3) and offset == pytest.approx(-1, abs=1e-3)
    assert line(torch.ones(9).double(), x[:9], torch.ones(9).double()) == (0, float(x[:9].median()))


@pytest.mark.parametrize("wrong", [0.0, 0.15])
@pytest.mark.parametrize(("a", "b"), [(1.7, 1.0), (0.4, 1.0), (0.8, 1.35), (2.2, 0.7)])
def test_scale_and_exponent_are_found(a: float, b: float, wrong: float) -> None:
    truth = _scenes()
    said = (truth / a) ** (1 / b)
    found = choose(_samples(said, _noisy(truth, wrong=wrong)), METRIC)
    assert found is not None and found.name == (SCALE if b == 1 else EXPONENT) and found.tells
    assert found.form.exponent == pytest.approx(b, abs=0.03) and found.form.offset == 0
    assert found.form.scale == pytest.approx(a, rel=0.05)
    exact = scale_exponent(_samples(said, truth), METRIC)
    assert exact is not None and exact.scale == pytest.approx(a, rel=1e-3) and exact.exponent == pytest.approx(b, 1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_added_that_does_not_help(seed: int) -> None:
    truth = _scenes(seed=seed)
    measured = _noisy(truth, image=0.1, seed=seed + 100)
    right = choose(_samples(truth, measured), METRIC)
    assert right is not None and right.name == NONE
    half = choose(_samples(truth / 2, measured), METRIC)
    assert half is not None and half.name == SCALE and half.form.scale == pytest.approx(2, rel=0.1)
    assert half.held_out[NONE].log_l1 == pytest.approx(math.log(2), abs=0.1)
    assert half.held_out[SCALE].log_l1 < half.held_out[NONE].log_l1 < half.held_out[CONSTANT].log_l1 + 1


def test_every_image_counts_alike() -> None:
    """One image of many pixels that says something else than four of few."""
    said = torch.ones(1000 + 4 * 10)
    metres = torch.cat([torch.full((1000,), 9.0), torch.full((40,), 2.0)])
    image = torch.cat([torch.zeros(1000), torch.arange(1, 5).repeat_interleave(10)]).long()
    samples = Samples(said=said, metres=metres, image=image, ids=tuple("abcde"))
    assert samples.weights().sum() == pytest.approx(1)
    form = forms_of(METRIC)[SCALE](samples, METRIC)
    assert form is not None and form.scale == pytest.approx(2)
    assert samples.per_image(metres).tolist() == [9, 2, 2, 2, 2]


def test_images_are_held_out_in_stretches() -> None:
    """A scale that drifts along a video is not known where it was not fitted, as single images would make believe."""
    truth = _scenes(images=50)
    drifting = truth * torch.linspace(0.5, 2, 50)[:, None]
    found = choose(_samples(drifting, truth), METRIC)
    assert found is not None and found.folds == 5 and found.spread > 1.2
    middle = (truth / drifting).log().abs().mean()
    assert found.held_out[SCALE].log_l1 > 1.1 * middle
    two = choose(_samples(truth[:2], truth[:2]), METRIC)
    assert two is not None and two.folds == 2 and two.name == NONE and two.held_out[NONE].log_l1 == pytest.approx(0)


@pytest.mark.parametrize(("kind", "said", "name"), [
    (DISPARITY, lambda d: 3 / d, SCALE), (DISPARITY, lambda d: 3 / d + 2, SHIFT),
    (DISPARITY, lambda d: 3 / d - 1, SHIFT),
    (DEPTH, lambda d: 0.2 * d, SCALE), (DEPTH, lambda d: 0.2 * d + 4, SHIFT), (DEPTH, lambda d: 0.2 * d - 1, SHIFT),
    (DepthKind.SCALE_INVARIANT, lambda d: 0.1 * d, SCALE),
])
def test_numbers_without_metres_get_them(kind: DepthKind, said: object, name: str) -> None:
    truth = _scenes()
    found = choose(_samples(said(truth), _noisy(truth, pixel=0.03)), kind)  # type: ignore[operator]
    assert found is not None and found.name == name and found.tells and NONE not in found.held_out
    metres = found.form.log_metres(said(truth), found.ends).exp()  # type: ignore[operator]
    assert torch.allclose(metres.float(), truth, rtol=0.03)
    assert (found.ends is None) == (kind is DepthKind.SCALE_INVARIANT)
    if found.ends is not None:
        beyond = found.form.log_metres(torch.tensor([-1e6, 1e6]), found.ends).exp()
        assert sorted(beyond.tolist()) == pytest.approx(found.ends)


def test_numbers_that_say_nothing_get_none() -> None:
    truth = _scenes()
    generator = torch.Generator().manual_seed(3)
    noise = choose(_samples(torch.rand(truth.shape, generator=generator), truth), DISPARITY)
    assert noise is not None and not noise.tells
    # Each image has a scale of its own: the relation within images is perfect, that of all is none.
    own = truth / truth.mean(1, keepdim=True) * (2 * torch.randn(20, 1, generator=generator)).exp()
    relative = choose(_samples(own, truth), DepthKind.SCALE_INVARIANT)
    assert relative is not None and not relative.tells and relative.spread > 2


def test_the_wrong_way_round_is_not_fitted() -> None:
    truth = _scenes()
    samples = _samples(1 / truth, truth)
    assert scale_exponent(samples, METRIC) is None and forms_of(DEPTH)[SHIFT](samples, DEPTH) is None
    found = choose(samples, METRIC)
    assert found is not None and EXPONENT not in found.held_out and not found.tells


@pytest.mark.parametrize("kind", list(DepthKind))
@pytest.mark.parametrize("level", [1e-3, 1.0, 2.7, 150.0])
@pytest.mark.parametrize("rounding", [0.0, 1e-7, 1e-6, 1e-5])
def test_numbers_that_differ_by_rounding_alone_have_no_exponent(kind: DepthKind, level: float, rounding: float) -> None:
    truth = _scenes()
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(5))
    samples = _samples(level * (1 + rounding * noise), truth)
    assert scale_exponent(samples, kind) is None
    found = choose(samples, kind)
    assert found is not None and found.name in (NONE, SCALE) and not found.tells and EXPONENT not in found.held_out


@pytest.mark.parametrize("kind", list(DepthKind))
def test_absurd_numbers_are_no_formula(kind: DepthKind) -> None:
    """Numbers without bound, and those that hardly differ, whose line is so steep that its scale is no number."""
    truth = _scenes()
    for said in (1e38 * truth / truth.max(), 0.01 * (1 + 1e-3 * truth), 90 / (1 + 1e-3 * truth)):
        for fit in forms_of(kind).values():
            form = fit(_samples(said, truth), kind)
            assert form is None or (0 < form.scale <= 1e12 and math.isfinite(form.exponent))
