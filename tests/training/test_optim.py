from __future__ import annotations

import pytest
import torch
from torch import nn

from kdcli.config import StageConfig
from kdcli.training.loop.optim import Averaged, clipped, lr_factor, lr_scales, optimizer_of
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


@pytest.mark.parametrize(("total", "warmup", "div", "final"), [(1000, 0.3, 25.0, 100.0), (173, 0.1, 10.0, 1e4)])
def test_onecycle_is_that_of_pytorch(total: int, warmup: float, div: float, final: float) -> None:
    """Theirs reaches its peak and its end one step earlier: ours lies between two neighbouring steps of it."""
    made = stage(warmup=warmup, start_factor=1 / div, end_factor=1 / (div * final), lr=2e-3)
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=2e-3)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=2e-3, total_steps=total, pct_start=warmup, div_factor=div, final_div_factor=final,
        cycle_momentum=False,
    )
    rates = []
    for _ in range(total):
        rates.append(theirs.get_last_lr()[0])
        optimizer.step()
        if len(rates) < total:
            theirs.step()
    ours = [made.lr * lr_factor(made, step, total) for step in range(total)]
    assert ours[0] == pytest.approx(rates[0]) == pytest.approx(2e-3 / div)
    for step in range(1, total):
        low, high = sorted(rates[step - 1 : step + 1])
        assert low - 1e-12 <= ours[step] <= high + 1e-12, step
    assert made.lr * lr_factor(made, total, total) == pytest.approx(rates[-1]) == pytest.approx(2e-3 / div / final)


def test_optimisers_take_betas_and_can_decay_everything() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    made = stage(betas=(0.95, 0.99), decay_norms=True, weight_decay=0.01)
    (group,) = optimizer_of(made, model.parameters()).param_groups
    plain = torch.optim.AdamW(model.parameters(), lr=made.lr, betas=(0.95, 0.99), weight_decay=0.01).param_groups[0]
    assert all(group[key] == plain[key] for key in plain if key != "params")
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]


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


@pytest.mark.parametrize("steps", [300, 3_000])
def test_one_decay_looks_back_over_a_share_of_the_steps(steps: int) -> None:
    model = nn.BatchNorm1d(1)
    average = Averaged(model, 0.9999)
    for step in range(steps):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update(model)
    lag = steps - 1 - average.state["weight"].item()
    assert lag / steps == pytest.approx(0.1, abs=0.01)  # the mean age of what is averaged


def test_a_long_run_looks_back_over_ten_thousand_steps() -> None:
    model = nn.BatchNorm1d(1)
    average = Averaged(model, 0.9999)
    average.steps = 300_000
    with torch.no_grad():
        model.weight.fill_(2.0)
    average.update(model)
    assert average.state["weight"].item() == pytest.approx(1.0001)


def test_seeds_are_places() -> None:
    assert seed_of(0, "a", 1) == seed_of(0, "a", 1)
    assert len({seed_of(0, "a", 1), seed_of(1, "a", 1), seed_of(0, "b", 1), seed_of(0, "a", 2)}) == 4
    before = torch.get_rng_state()
    with seeded(1):
        one = torch.rand(2)
    with seeded(1):
        assert torch.equal(one, torch.rand(2))
    assert torch.equal(before, torch.get_rng_state())


def test_gradients_are_clipped_as_torch_does_and_idle_ones_change_no_bit() -> None:
    draw = torch.Generator().manual_seed(3)
    shapes = [(7, 5), (31,), (4, 3, 3, 3)]

    def parameters(idle: int = 0) -> list[nn.Parameter]:
        draw.manual_seed(4)
        made = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
        for one in made:
            one.grad = torch.randn(one.shape, generator=draw)
        more = [nn.Parameter(torch.zeros(9)) for _ in range(idle)]
        for one in more:
            one.grad = torch.zeros(9)
        return [*more, *made, nn.Parameter(torch.zeros(2))]

    theirs, ours, idle = parameters(), parameters(), parameters(29)
    told = nn.utils.clip_grad_norm_(theirs, 1.0)
    assert torch.allclose(clipped(ours, 1.0), told) and torch.equal(clipped(idle, 1.0), clipped(parameters(), 1.0))
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        assert mine.grad is not None and other.grad is not None and torch.allclose(mine.grad, other.grad)
    for mine, other in zip(ours[:3], idle[29:], strict=False):
        assert mine.grad is not None and other.grad is not None and torch.equal(mine.grad, other.grad)
    assert float(clipped([nn.Parameter(torch.zeros(2))], 1.0)) == 0
