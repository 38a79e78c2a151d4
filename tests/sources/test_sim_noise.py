"""Pictures of noise: standard normal where networks see them, and each its own."""

from __future__ import annotations

import pytest
import torch

from kdcli.networks.normalise import IMAGENET_MEAN, IMAGENET_STD
from kdcli.sources.sim import SimSource
from kdcli.sources.sim.hashing import scene_keys
from kdcli.sources.sim.noise import standard_normal
from kdcli.testing import check_source


def test_the_numbers_are_standard_normal() -> None:
    drawn = standard_normal(scene_keys("noise", 0, torch.arange(4)), 100_000).double()
    assert drawn.isfinite().all()
    flat = drawn.flatten()
    moments = [flat.mean(), flat.var(), (flat**3).mean(), (flat**4).mean()]
    assert [float(m) for m in moments] == pytest.approx([0, 1, 0, 3], abs=0.06)
    share = [(flat.abs() < bound).double().mean().item() for bound in (0.5, 1, 2, 3)]
    assert share == pytest.approx([0.3829, 0.6827, 0.9545, 0.9973], abs=0.003)
    assert torch.corrcoef(drawn).fill_diagonal_(0).abs().max() < 0.01
    assert abs((drawn[:, 1:] * drawn[:, :-1]).mean().item()) < 0.01


def test_pictures_are_clipped_and_centred_as_networks_see_them() -> None:
    batch = SimSource("noise").batch(range(8), (48, 64))
    assert batch.image.shape == (8, 3, 48, 64) and batch.depth is None and batch.instances is None
    assert batch.image.min() == 0 and batch.image.max() == 1
    for channel, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)):
        values = batch.image[:, channel]
        inside = (values > 0) & (values < 1)
        assert values.median().item() == pytest.approx(mean, abs=0.01)
        # A normal distribution cut where the picture is.
        cut = ((0 - mean) / std, (1 - mean) / std)
        grid = torch.linspace(*cut, 10_001, dtype=torch.float64)
        density = torch.exp(-(grid**2) / 2)
        middle = (density * grid).sum() / density.sum()
        spread = ((density * (grid - middle) ** 2).sum() / density.sum()).sqrt().item()
        assert values[inside].std().item() == pytest.approx(std * spread, rel=0.02)


def test_a_picture_depends_on_its_number_alone() -> None:
    source = SimSource("noise", count=9, seed=2)
    whole = source.batch(range(9), (32, 40))
    assert torch.equal(source.batch([5], (32, 40)).image[0], whole.image[5]) and whole.ids[5] == "noise/2/5"
    assert not torch.equal(whole.image[0], whole.image[1])
    assert not torch.equal(SimSource("noise", seed=3).batch([5], (32, 40)).image[0], whole.image[5])
    assert source.batch([0], (32, 40), "meta").image.device.type == "meta"


def test_it_is_a_source_without_depth() -> None:
    source = SimSource("noise", count=3, size="40x48")
    assert len(source) == 3 and source.depth_kind is None
    sample = source[-1]
    assert sample.id == "noise/0/2" and sample.image.shape == (3, 40, 48) and sample.depth is None
    (finding,) = source.check()
    assert "no depth" in finding.message
    check_source("sim:noise,count=4")
