from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcli.errors import ConfigError
from kdcli.evals.alignment import align, resolve, scale_and_shift
from kdcli.maps import masked_median
from kdcli.types import DepthKind

KINDS = tuple(DepthKind)


def scene(images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    depth = 1 + 9 * torch.rand(images, 1, 8, 9, generator=generator)
    return depth, torch.rand(images, 1, 8, 9, generator=generator) > 0.3


@pytest.mark.parametrize(
    ("kind", "needed"),
    [("metric", "none"), ("scale_invariant", "median"), ("affine_depth", "scale-shift"),
     ("affine_disparity", "scale-shift")],
)  # fmt: skip
def test_auto_is_what_the_kind_needs(kind: str, needed: str) -> None:
    assert resolve(None, DepthKind(kind)) == resolve("auto", DepthKind(kind)) == needed
    assert resolve(None, DepthKind(kind), "median") == "median"
    assert resolve("median", DepthKind(kind), "scale-shift") == "median"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not DepthKind.METRIC])
def test_no_alignment_is_refused_for_numbers_that_are_no_metres(kind: DepthKind) -> None:
    with pytest.raises(ConfigError, match=rf"{kind}.*--align (median|scale-shift)"):
        resolve("none", kind)
    with pytest.raises(ConfigError, match=kind):
        align(torch.ones(1, 1, 2, 2), kind, torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2) > 0, "none")


def test_an_unknown_mode_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'median'"):
        resolve("meadian", DepthKind.METRIC)


@pytest.mark.parametrize("kind", [DepthKind.METRIC, DepthKind.SCALE_INVARIANT, DepthKind.AFFINE_DEPTH])
def test_scale_and_shift_are_undone_in_depth(kind: DepthKind) -> None:
    depth, valid = scene()
    factor, offset = (torch.tensor(v).view(3, 1, 1, 1) for v in ([0.1, 2.0, 30.0], [4.0, -1.0, 0.0]))
    said = torch.where(valid, depth * factor + offset, 1e6)
    assert torch.allclose(align(said, kind, depth, valid, "scale-shift")[valid], depth[valid], rtol=1e-4)


def test_scale_and_shift_are_undone_in_disparity() -> None:
    depth, valid = scene()
    said = torch.where(valid, 7 / depth - 3, -1e5)
    got = align(said, DepthKind.AFFINE_DISPARITY, depth, valid, "scale-shift")
    assert torch.allclose(got[valid], depth[valid], rtol=1e-4)
    # The same numbers fitted as depth are far off: the space matters.
    wrong = align(said, DepthKind.AFFINE_DEPTH, depth, valid, "scale-shift")
    assert (wrong - depth)[valid].abs().mean() > 0.5


def test_median_inverts_a_disparity_first() -> None:
    depth, valid = scene()
    got = align(5 / depth, DepthKind.AFFINE_DISPARITY, depth, valid, "median")
    assert torch.allclose(got, depth, rtol=1e-5)
    assert torch.allclose(align(5 * depth, DepthKind.SCALE_INVARIANT, depth, valid, "median"), depth, rtol=1e-5)


def test_least_squares_is_that_of_numpy() -> None:
    depth, valid = scene(1)
    said = depth.sqrt() + 0.3 * torch.rand(depth.shape, generator=torch.Generator().manual_seed(3))
    x = said[valid].double().numpy()
    want = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), depth[valid].double().numpy(), rcond=None)[0]
    got = [float(t) for t in scale_and_shift(said, depth, valid)]
    assert got == pytest.approx(want.tolist(), rel=1e-5)


def test_a_flat_prediction_becomes_the_mean() -> None:
    depth, valid = scene(1)
    scale, shift = scale_and_shift(torch.full_like(depth, 0.7), depth, valid)
    assert float(scale) == 0
    assert float(shift) == pytest.approx(float(depth[valid].mean()), rel=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5, 72])
def test_median_is_that_of_numpy(count: int) -> None:
    depth, _ = scene(1)
    valid = (torch.arange(72) < count).view(1, 1, 8, 9)
    assert float(masked_median(depth, valid)) == pytest.approx(float(np.median(depth[valid].numpy())), rel=1e-6)


def test_median_of_nothing_is_not_a_number() -> None:
    depth, _ = scene(1)
    assert masked_median(depth, torch.zeros_like(depth) > 0).isnan().all()
