from __future__ import annotations

import math

import pytest
import torch

from kdcli.evals.metrics import NAMES, per_image


def measure(prediction: list[float], target: list[float], **options: bool) -> dict[str, float]:
    p, g = (torch.tensor(values).view(1, 1, 1, -1) for values in (prediction, target))
    values, _ = per_image(p, g, torch.ones_like(g, dtype=torch.bool), **options)
    return dict(zip(NAMES, values[0].tolist(), strict=True))


def test_by_hand() -> None:
    got = measure([2.0, 2.0], [1.0, 4.0])
    logs = [math.log(2), -math.log(2)]
    want = {
        "abs_rel": (1 + 0.5) / 2, "sq_rel": (1 + 1) / 2, "rmse": math.sqrt(5 / 2), "rmse_log": math.log(2),
        "log10": math.log10(2), "silog": 100 * math.sqrt(sum(x * x for x in logs) / 2), "delta1": 0.0, "delta2": 0.0,
        "delta3": 0.0,
    }  # fmt: skip
    assert got == pytest.approx(want, rel=1e-6)
    assert measure([1.0, 1.3, 1.7, 3.0], [1.0, 1.0, 1.0, 1.0])["delta1"] == 0.25
    assert measure([1.0, 1.3, 1.7, 3.0], [1.0, 1.0, 1.0, 1.0])["delta2"] == 0.5
    assert measure([1.0, 1.3, 1.7, 3.0], [1.0, 1.0, 1.0, 1.0])["delta3"] == 0.75


def test_a_ratio_on_the_threshold() -> None:
    assert measure([1.25, 0.8], [1.0, 1.0])["delta1"] == 0.0
    assert measure([1.25, 0.8], [1.0, 1.0], delta_inclusive=True)["delta1"] == 1.0


def test_perfect_prediction() -> None:
    got = measure([1.0, 2.5, 7.0], [1.0, 2.5, 7.0])
    assert [got[name] for name in NAMES] == [0, 0, 0, 0, 0, 0, 1, 1, 1]


def test_silog_ignores_a_factor_and_nothing_else_does() -> None:
    target = [1.0, 2.0, 5.0, 9.0]
    a, b = measure([1.1, 1.9, 5.5, 8.0], target), measure([2.2, 3.8, 11.0, 16.0], target)
    assert a["silog"] == pytest.approx(b["silog"], rel=1e-5)
    assert all(a[name] != pytest.approx(b[name], rel=1e-2) for name in NAMES if name != "silog")


def test_a_batch_is_its_images_one_by_one_and_masked_pixels_do_not_exist() -> None:
    generator = torch.Generator().manual_seed(1)
    p, g = (0.5 + torch.rand(3, 1, 9, 11, generator=generator) for _ in range(2))
    valid = torch.rand(3, 1, 9, 11, generator=generator) > 0.4
    together, pixels = per_image(p.where(valid, torch.tensor(float("nan"))), g.where(valid, torch.tensor(0.0)), valid)
    for i in range(3):
        alone, _ = per_image(*(t[i][valid[i]].view(1, 1, 1, -1) for t in (p, g, valid)))
        assert torch.allclose(together[i], alone[0], rtol=1e-12, atol=0)
        assert pixels[i] == valid[i].sum()


def test_nothing_is_repaired() -> None:
    target = torch.ones(2, 1, 2, 2)
    valid = torch.tensor([False, True]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    prediction = torch.tensor([1.0, float("nan")]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    values, pixels = per_image(prediction, target, valid)
    assert pixels.tolist() == [0, 4]
    assert values[0].isnan().all()
    assert values[1, :6].isnan().all()
