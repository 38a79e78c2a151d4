from __future__ import annotations

import pytest
import torch
from torch import nn

from kdcli.config import StageConfig
from kdcli.training.optim import Averaged, lr_factor, lr_scales, optimizer_of
from kdcli.training.seeds import seed_of, seeded


def stage(**keys: object) -> StageConfig:
    return StageConfig(name="s", steps=100, **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "step", "constant"])
def test_schedules_stay_in_range(schedule: str) -> None:
    factors = [lr_factor(stage(schedule=schedule), step, 100) for step in range(100)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) == pytest.approx(1.0)


def test_onecycle_rises_and_falls() -> None:
    factors = [lr_factor(stage(warmup=0.3), step, 100) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 25)
    assert factors[30] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(1e-4)
    assert factors[:31] == sorted(factors[:31]) and factors[30:] == sorted(factors[30:], reverse=True)


def test_norms_and_biases_are_not_decayed() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for kind in ("adamw", "adam", "sgd"):
        groups = optimizer_of(stage(optimizer=kind, weight_decay=0.1), model.parameters()).param_groups
        decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert [decay[id(p)] for p in model.parameters()] == [0.1, 0.0, 0.0, 0.0]


def test_a_part_may_have_a_learning_rate_of_its_own() -> None:
    part, other = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
    part.lr_scale = 0.1  # type: ignore[assignment]
    model = nn.Sequential(part, other)
    groups = optimizer_of(stage(), model.parameters(), lr_scales(model)).param_groups
    scales = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    assert [scales[id(p)] for p in model.parameters()] == [0.1, 0.1, 1.0, 1.0]
    assert [len(group["params"]) for group in optimizer_of(stage(), model.parameters()).param_groups] == [2, 2]


def test_the_average_follows() -> None:
    model = nn.BatchNorm1d(2)
    average = Averaged(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.num_batches_tracked.fill_(7)
    average.update(model)  # the first decay is 2 / 11
    assert average.state["weight"].tolist() == pytest.approx([3 - 2 * 2 / 11] * 2)
    assert int(average.state["num_batches_tracked"]) == 7
    assert model.weight[0].item() == 3.0


def test_seeds_are_places() -> None:
    assert seed_of(0, "a", 1) == seed_of(0, "a", 1)
    assert len({seed_of(0, "a", 1), seed_of(1, "a", 1), seed_of(0, "b", 1), seed_of(0, "a", 2)}) == 4
    before = torch.get_rng_state()
    with seeded(1):
        one = torch.rand(2)
    with seeded(1):
        assert torch.equal(one, torch.rand(2))
    assert torch.equal(before, torch.get_rng_state())
