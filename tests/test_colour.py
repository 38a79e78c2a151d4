from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kdcli.colour import INVALID, MAPS, colourise, legend, limits_of, with_legend
from kdcli.errors import ConfigError

RAMP = torch.linspace(1.0, 10.0, 64).expand(8, 64)  # depth grows to the right


def _luminance(colour: Tensor) -> float:
    return float(colour @ torch.tensor([0.2126, 0.7152, 0.0722]))


def _is_nearer(name: str, one: Tensor, other: Tensor) -> bool:
    if name in ("spectral", "turbo"):  # warm: more red than blue
        return float(one[0] - one[2]) > float(other[0] - other[2])
    return _luminance(one) > _luminance(other)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("disparity", [False, True])
def test_near_is_warm_or_bright(name: str, disparity: bool) -> None:
    picture = colourise(1 / RAMP if disparity else RAMP, disparity=disparity, name=name)
    assert picture.shape == (3, 8, 64) and picture.min() >= 0 and picture.max() <= 1
    assert _is_nearer(name, picture[:, 0, 0], picture[:, 0, -1])
    assert _is_nearer(name, picture[:, 0, 4], picture[:, 0, 40])


def test_spectral_is_red_near_and_blue_far() -> None:
    picture = colourise(RAMP)
    assert picture[0, 0, 0] > 0.5 > picture[2, 0, 0]
    assert picture[2, 0, -1] > 0.5 > picture[0, 0, -1]


def test_depth_and_its_disparity_look_the_same() -> None:
    assert torch.allclose(
        colourise(RAMP, limits=(1.0, 10.0)), colourise(1 / RAMP, disparity=True, limits=(0.1, 1.0)), atol=1e-4
    )


def test_linear_depth_may_be_negative() -> None:
    picture = colourise(RAMP - 5, linear=True)
    assert _is_nearer("spectral", picture[:, 0, 0], picture[:, 0, -1])
    assert not torch.any(torch.all(picture == INVALID, dim=0))


def test_what_has_no_value_is_grey() -> None:
    depth = RAMP.clone()
    depth[0, :4] = torch.tensor([0.0, -1.0, float("nan"), float("inf")])
    valid = torch.ones_like(depth, dtype=torch.bool)
    valid[1, 5] = False
    picture = colourise(depth, valid)
    assert torch.all(picture[:, 0, :4] == INVALID) and torch.all(picture[:, 1, 5] == INVALID)
    assert not torch.all(picture[:, 2, 5] == INVALID)
    assert torch.isfinite(picture).all()
    assert torch.all(colourise(torch.zeros(4, 4)) == INVALID)


def test_limits_are_in_the_unit_of_the_input_and_saturate() -> None:
    picture = colourise(RAMP, limits=(2.0, 5.0))
    assert torch.equal(picture[:, 0, 0], picture[:, 0, 5])
    assert torch.equal(picture[:, 0, -1], picture[:, 0, 50])
    assert not torch.equal(picture[:, 0, 12], picture[:, 0, 20])
    low, high = limits_of(RAMP)
    assert 1.0 < low < 1.5 and 9.5 < high < 10.0
    outlier = RAMP.clone()
    outlier[0, 0] = 1e6
    assert limits_of(outlier)[1] < 11


def test_a_flat_map_gets_one_colour_of_the_middle() -> None:
    picture = colourise(torch.full((4, 4), 3.0))
    assert torch.isfinite(picture).all() and torch.all(picture == picture[:, :1, :1])


@pytest.mark.parametrize("limits", [(5.0, 1.0), (0.0, 3.0), (float("nan"), 1.0)])
def test_limits_that_are_no_range(limits: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="no range"):
        colourise(RAMP, limits=limits)


def test_unknown_map_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'magma'"):
        colourise(RAMP, name="magna")


def test_legend_has_the_colours_of_the_picture_and_text() -> None:
    strip = legend(320, (1.0, 10.0), unit="m")
    picture = colourise(RAMP, limits=(1.0, 10.0))
    assert strip.shape == (3, 34, 320)
    assert torch.allclose(strip[:, 0, 0], picture[:, 0, 0], atol=0.01)
    assert torch.allclose(strip[:, 0, -1], picture[:, 0, -1], atol=0.01)
    text = strip[:, 20:].amin(dim=(0, 1))  # dark columns below the bar: numbers at both ends
    assert text[:40].min() < 0.5 and text[-40:].min() < 0.5
    assert not torch.equal(strip, legend(320, (1.0, 10.0), unit=""))
    assert not torch.equal(strip, legend(320, (1.0, 20.0), unit="m"))
    assert with_legend(torch.zeros(3, 50, 320), strip).shape == (3, 84, 320)


def test_inferno_is_that_of_others(shared: Path) -> None:
    golden = np.load(shared / "golden/colour/colour.npz")
    inverse = torch.from_numpy(golden["inverse"])
    limits = (float(inverse.min()), float(inverse.max()))
    ours = colourise(inverse, disparity=True, limits=limits, name="inferno").flip(0).permute(1, 2, 0) * 255
    difference = (ours - torch.from_numpy(golden["out.midas_inferno_bgr"]).float()).abs()
    assert difference.max() <= 6 and difference.mean() < 2
