from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from kdcli.config import RunConfig
from kdcli.errors import ConfigError
from kdcli.maps import at_size
from kdcli.protocols import API_VERSION
from kdcli.training.loop.optim import optimizer_of
from kdcli.training.run import checks
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.context import ModelView
from kdcli.training.step.parts import LossPart
from kdcli.training.step.task import DistillTask
from kdcli.types import ANY_KIND, Batch, DepthKind, Needs, Prediction

CPU = torch.device("cpu")


class OwnParameters(nn.Module):
    """A loss with a main parameter, an inner network of its own, a weight map and a state."""

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()
    inner_steps = 2

    def __init__(self, needs: Needs | None = None) -> None:
        super().__init__()
        self.needs = needs or Needs(kinds=ANY_KIND, student_taps=("pre_head",))
        self.scale = nn.Parameter(torch.ones(()))
        self.critic = nn.Linear(1, 1)

    def terms(self, ctx: Any) -> Mapping[str, Tensor]:
        ctx.state["seen"] = ctx.state.get("seen", 0) + 1
        target, _ = ctx.target()
        feature = ctx.student.feat("pre_head").mean()
        return {"fit": (self.scale * ctx.student.out.depth - target).abs().mean() + 0 * feature, "extra": self.scale**2}

    def pixel_weight(self, ctx: Any) -> Tensor:
        return (ctx.student.out.depth.detach() > 0).float() * 0.5

    def inner_parameters(self) -> list[nn.Parameter]:
        return list(self.critic.parameters())

    def inner_loss(self, ctx: Any) -> Tensor:
        return (self.critic(torch.ones(1, 1)) - 3).square().sum()


def build(config: RunConfig, losses: dict[str, tuple[float, Any]] | None = None) -> tuple[DistillTask, Batch, Workshop]:
    shop = Workshop(config=config, device=CPU)
    student, _ = shop.student()
    stage = config.main
    task = shop.task(stage, student, None)
    if losses is not None:
        parts = [LossPart(name=name, weight=weight, loss=loss) for name, (weight, loss) in losses.items()]
        task = DistillTask(stage, student, shop.teachers(stage), parts, [], task.task_loss, seed=1, device=CPU)
    batch = next(shop.feed(stage).batches(0, 1))
    task.build(batch)
    return task, batch, shop


def test_a_teacher_is_never_touched(tiny: Callable[..., RunConfig], teacher_file: Path) -> None:
    task, batch, shop = build(tiny(teachers=(f"run:{teacher_file}",)))
    (teacher,) = shop.teachers(shop.config.main).values()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    task.student.train()
    optimizer = optimizer_of(shop.config.main, task.trained_parameters())
    task(batch, 0, 10).loss.backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())
    assert not teacher.training
    held = {id(p) for p in task.parameters()}
    assert not any(id(p) in held for p in teacher.parameters())


def test_own_parameters_join_and_inner_ones_go_first(tiny: Callable[..., RunConfig]) -> None:
    loss = OwnParameters()
    task, batch, _ = build(tiny("task_loss=l1"), {"own": (2.0, loss)})
    trained = {id(p) for p in task.trained_parameters()}
    assert id(loss.scale) in trained
    assert not any(id(p) in trained for p in loss.critic.parameters())
    gap = abs(loss.critic(torch.ones(1, 1)).item() - 3)
    result = task(batch, 0, 10)
    assert abs(loss.critic(torch.ones(1, 1)).item() - 3) < gap
    assert set(result.terms) == {"task", "own.fit", "own.extra"}
    expected = result.terms["task"] + 2 * (result.terms["own.fit"] + result.terms["own.extra"])
    assert float(result.loss.detach()) == pytest.approx(float(expected), rel=1e-6)
    result.loss.backward()
    assert loss.scale.grad is not None and dict(task.states["own"]) == {"seen": 1}
    assert any(name.endswith("scale") for name in task.state_dict())


def test_the_task_loss_counts_labelled_pixels_alone(tiny: Callable[..., RunConfig]) -> None:
    from dataclasses import replace

    task, batch, _ = build(tiny("task_loss=l1"))
    assert batch.depth is not None
    labelled = torch.tensor([True, False, False, False])
    broken = batch.depth.clone()
    broken[1:] = 1e4
    one = task(replace(batch, labelled=labelled), 0, 10).terms["task"]
    two = task(replace(batch, labelled=labelled, depth=broken), 0, 10).terms["task"]
    assert one == two
    none = task(replace(batch, labelled=torch.zeros(4, dtype=torch.bool)), 0, 10).terms["task"]
    assert float(none) == 0


def test_views_are_lazy(tiny: Callable[..., RunConfig]) -> None:
    calls = 0

    class Counted(nn.Module):
        def forward(self, image: Tensor) -> Prediction:
            nonlocal calls
            calls += 1
            return Prediction(depth=image.mean(1, keepdim=True) + 1, kind=DepthKind.METRIC)

    batch = Batch(ids=("a", "b", "c"), image=torch.rand(3, 3, 8, 8))
    view = ModelView(Counted(), batch, gradient=False)
    assert calls == 0
    assert view.out is view.out and calls == 1
    part = view.subset(torch.tensor([2]))
    assert part.out.depth.shape[0] == 1 and calls == 2
    image = batch.image.clone().requires_grad_()
    assert view.call(image).depth.requires_grad
    assert not view.out.depth.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_whoever_looks_first_without_gradient_leaves_it_to_the_others(
    tiny: Callable[..., RunConfig], training: bool
) -> None:
    shop = Workshop(config=tiny(), device=torch.device("cpu"))
    batch, (student, _) = shop.first(shop.config.main), shop.student()
    with torch.set_grad_enabled(training):
        view = ModelView(student, batch, gradient=True, taps=("pre_head",))
    with torch.no_grad():
        parts = view.out.depth, view.feat("pre_head"), view.subset(torch.tensor([0])).out.depth
        called = view.call(batch.image).depth
    assert [part.requires_grad for part in parts] == [training] * 3 and not called.requires_grad


def test_holes_do_not_bleed_when_resized() -> None:
    depth = torch.full((1, 1, 8, 8), 2.0)
    valid = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    depth[..., :4], valid[..., :4] = 0.0, False
    small, where = at_size(Prediction(depth=depth, kind=DepthKind.METRIC, valid=valid), (4, 4))
    assert small[where].unique().tolist() == [2.0]
    assert where[0, 0, 0].tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (Needs(kinds=ANY_KIND, teachers=(2, None)), "needs 2 or more teachers"),
        (Needs(kinds=frozenset({DepthKind.AFFINE_DISPARITY})), "does not fit teacher"),
        (Needs(kinds=ANY_KIND, min_batch=64), "batch of 64"),
        (Needs(kinds=ANY_KIND, student_taps=("enc99",)), "tap 'enc99'"),
        (Needs(kinds=ANY_KIND, teacher_taps=("enc99",)), "tap 'enc99' of teacher 'ground-truth'"),
        (Needs(kinds=ANY_KIND, student_taps=("input:nowhere",)), "tap 'input:nowhere'"),
        (Needs(kinds=ANY_KIND, ground_truth=True), "needs depth, and 'sim:blocks,count=24' has none"),
        (Needs(kinds=ANY_KIND, task_map=True), "asks for the task loss"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(
    tiny: Callable[..., RunConfig], needs: Needs, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny()
    shop = Workshop(config=config, device=CPU)
    student, _ = shop.student()
    with pytest.raises(ConfigError, match=message):
        part = LossPart(name="own", loss=OwnParameters(needs))
        source = shop.source(config.main.data)
        monkeypatch.setattr(source, "depth_kind", None)
        checks.check_parts(config.main, student, shop.teachers(config.main), [part], None, source)


def test_a_student_takes_on_its_teachers_kind_or_is_refused(
    tiny: Callable[..., RunConfig], teacher_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(config=tiny(teachers=(f"run:{teacher_file}",)), device=CPU)
    (teacher,) = shop.teachers(shop.config.main).values()
    teacher.depth_kind = DepthKind.AFFINE_DISPARITY  # type: ignore[assignment]
    student, _ = shop.student()
    assert student.depth_kind is DepthKind.AFFINE_DISPARITY
    assert student(torch.rand(1, 3, 32, 48)).kind is DepthKind.AFFINE_DISPARITY
    monkeypatch.setattr(type(student), "any_kind", False)
    with pytest.raises(ConfigError, match="choose a student of that kind"):
        shop.student()
