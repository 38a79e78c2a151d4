"""The student's scale beside its teacher's: measured, judged, written down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.losses.affine_invariant import AffineInvariant
from kdcli.losses.pointwise import L1
from kdcli.protocols import StepContext
from kdcli.report.html import render
from kdcli.report.training import training_sections
from kdcli.testing import toys
from kdcli.training.batches.feed import Feed
from kdcli.training.loop import train as loop
from kdcli.training.loop.train import StepLog
from kdcli.training.run.drift import ScaleWatch
from kdcli.training.step.context import Context
from kdcli.training.step.parts import LossPart
from kdcli.training.step.scale import scale_of
from kdcli.training.step.task import DistillTask
from kdcli.training.step.view import ModelView
from kdcli.types import POSITIVE_DEPTH, Batch, DepthKind, Needs, Prediction, Sample

CPU = torch.device("cpu")


class Fixed(nn.Module):
    """Says the same whatever it is shown."""

    depth_range = (0.1, 10.0)

    def __init__(self, depth: Tensor, kind: DepthKind = DepthKind.METRIC, valid: Tensor | None = None) -> None:
        super().__init__()
        self.depth_kind, self._depth, self._valid = kind, depth, valid

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self._depth, kind=self.depth_kind, valid=self._valid)


def context(student: nn.Module, teacher: nn.Module, *, asked: bool = True) -> Context:
    batch = Batch(ids=("a", "b"), image=torch.rand(2, 3, 32, 48))
    views = [ModelView(model, batch, gradient=False) for model in (student, teacher)]
    for view in views[: 2 if asked else 1]:
        _ = view.out
    return Context(
        step=0, batch_number=0, epoch=0, stage="s", progress=0.0, generator=torch.Generator(), batch=batch,
        student=views[0], teachers={"t": views[1]},
    )


def maps(seed: int = 0) -> Tensor:
    return torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def test_the_ratio_is_of_medians_and_its_spread_of_the_batch() -> None:
    factors = torch.tensor([2.0, 8.0]).view(2, 1, 1, 1)
    found = scale_of(context(Fixed(maps() * factors), Fixed(maps())))
    assert found is not None and found.tolist() == pytest.approx([4.0, math.log(2.0)], rel=1e-4)


def test_an_offset_says_nothing_where_the_kind_leaves_it_open() -> None:
    kind = DepthKind.AFFINE_DISPARITY
    found = scale_of(context(Fixed(3 * maps() - 20, kind), Fixed(maps(), kind)))
    assert found is not None and found.tolist() == pytest.approx([3.0, 0.0], rel=1e-4, abs=1e-4)


def test_pixels_without_an_opinion_do_not_count() -> None:
    valid = torch.ones(2, 1, 32, 48, dtype=torch.bool)
    valid[1], valid[0, :, :16] = False, False
    student = maps().clone()
    student[0, :, :16], student[1] = 1000.0, 1000.0
    found = scale_of(context(Fixed(student), Fixed(maps(), valid=valid)))
    assert found is not None and found.tolist() == pytest.approx([1.0, 0.0], abs=1e-5)


def test_no_teacher_is_asked_for_it() -> None:
    assert scale_of(context(Fixed(maps()), Fixed(maps()), asked=False)) is None


def log(step: int, scale: float | None, total: int = 100) -> StepLog:
    return StepLog(
        variant="student", stage="s", step=step, total=total, loss=1.0, terms={}, notes={}, lr=1e-3, grad_norm=1.0,
        images_per_second=1.0, scale=scale, scale_spread=None if scale is None else 0.1,
    )


def rows(course: list[float]) -> list[dict[str, float]]:
    return [{"step": i + 1, "scale": value, "scale_spread": 0.1} for i, value in enumerate(course)]


def watched(course: list[float], *, held: bool = True) -> tuple[ScaleWatch, list[str]]:
    watch = ScaleWatch(held=held)
    said = [watch.add(log(i + 1, value, len(course))) for i, value in enumerate(course)]
    return watch, [text for text in said if text]


@pytest.mark.parametrize("factor", [0.6, 1.7])
def test_a_scale_that_is_not_the_teachers_at_the_end_is_said(factor: float) -> None:
    watch, said = watched([0.2] * 50 + [factor] * 50)
    verdict = watch.verdict()
    assert said == [] and verdict is not None and not verdict["kept"] and verdict["ratio"] == factor
    assert f"{factor:.3g} times its teacher's, outside 0.67..1.5" in verdict["note"]


def test_another_scale_is_no_fault_where_no_loss_holds_it_unless_it_grows() -> None:
    verdict = watched([3.0] * 100, held=False)[0].verdict()
    assert verdict == {"kept": True, "ratio": 3.0, "spread": 0.1}
    watch, said = watched([1.03**step for step in range(100)], held=False)
    assert len(said) == 1 and "moving away" in said[0]
    verdict = watch.verdict()
    assert verdict is not None and not verdict["kept"] and "moved away" in verdict["note"]


def test_a_student_that_comes_from_afar_is_on_its_way() -> None:
    watch, said = watched([0.1 + 0.9 * step / 99 for step in range(100)])
    verdict = watch.verdict()
    assert said == [] and verdict is not None and verdict["kept"]


def test_little_or_nothing_measured_is_no_verdict() -> None:
    watch = ScaleWatch(held=True)
    assert watch.verdict() is None
    for step, value in ((1, None), (2, math.nan), (3, math.inf)):
        assert watch.add(log(step, value)) is None
    assert watch.verdict() is None


def test_a_run_that_goes_on_is_judged_by_all_of_its_steps() -> None:
    course = [1.03**step for step in range(100)]
    whole, _ = watched(course)
    later = ScaleWatch(held=True)
    later.restore(rows(course[:60]), 100)
    for step in range(61, 101):
        later.add(log(step, course[step - 1]))
    assert later.seen == whole.seen and later.verdict() == whole.verdict()


@pytest.mark.parametrize("stopped", range(5, 100, 5))
def test_a_run_that_goes_on_says_once_that_its_scale_moves(stopped: int) -> None:
    """Before the stop or after it, at the step at which a run that was never stopped says it."""
    course = [1.03**step for step in range(100)]
    watch = ScaleWatch(held=True)
    spoken = [step for step in range(1, 101) if watch.add(log(step, course[step - 1]))]
    assert len(spoken) == 1 and 25 <= spoken[0] < 95
    later = ScaleWatch(held=True)
    later.restore(rows(course[:stopped]), 100)
    again = [step for step in range(stopped + 1, 101) if later.add(log(step, course[step - 1]))]
    assert again == [step for step in spoken if step > stopped]


class Pushing:
    """A loss that is blind to scale, as its author says, and has a leak in it: it rewards larger numbers."""

    needs = Needs(kinds=POSITIVE_DEPTH)
    value_at_equality = 0.0
    invariances = frozenset({"scale"})

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        ctx.target()
        return {"pushing": -ctx.student.out.depth.mean().log()}


class Free(toys.ToyDepth):
    """A student whose depth has no end."""

    def forward(self, image: Tensor) -> Prediction:
        said = super().forward(image)
        grown = self.head.bias.mean().exp() * said.depth
        return replace(said, depth=grown)


class Grey:
    name, depth_kind = "grey", None

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Sample:
        return Sample(id=str(index), image=torch.full((3, 32, 48), 0.1 + 0.1 * index))

    def check(self) -> list[object]:
        return []


@pytest.mark.parametrize(("loss", "kept"), [(L1(), True), (Pushing(), False)])
def test_outputs_that_grow_without_bound_are_noticed(tmp_path: Path, loss: object, kept: bool) -> None:
    stage = StageConfig(
        name="s", steps=60, batch_size=4, size=(32, 48), lr=0.05, clip=0.0, schedule="constant", log_every=1, amp="off"
    )
    student, teachers = Free(seed=1), {"t": toys.ToyDepth(seed=2).eval()}
    task = DistillTask(
        stage, student, teachers, [LossPart(name="x", loss=loss)], [], None, seed=1, device=CPU,  # type: ignore[arg-type]
    )
    watch = ScaleWatch(held=task.holds_scale)
    feed = Feed(Grey(), batch_size=4, size=(32, 48), seed=1, device=CPU)  # type: ignore[arg-type]
    logs: list[StepLog] = []
    loop.train(
        stage, task, feed, seed=1, state_file=tmp_path / "state.pt", variant="student", report=logs.append
    )
    said = [text for one in logs if (text := watch.add(one))]
    verdict = watch.verdict()
    assert verdict is not None and verdict["kept"] == kept and bool(said) != kept
    assert len(logs) == 60 and all(one.scale is not None for one in logs)


def test_losses_say_whether_they_hold_the_scale() -> None:
    def task(**losses: object) -> DistillTask:
        stage = StageConfig(name="s", steps=1)
        parts = [LossPart(name=name, loss=loss) for name, loss in losses.items()]  # type: ignore[arg-type]
        return DistillTask(stage, toys.ToyDepth(), {}, parts, [], None, seed=1, device=CPU)

    assert task(a=L1()).holds_scale and task(a=AffineInvariant(), b=L1()).holds_scale
    assert not task(a=AffineInvariant()).holds_scale


def test_the_report_draws_the_scale_and_says_what_is_wrong() -> None:
    rows = [
        {"variant": "student", "stage": "s", "step": step, "loss": 1.0, "scale": 1.0 + step, "scale_spread": 0.1}
        for step in (1, 2)
    ]
    page = render("x", training_sections(rows, {"student.s": {"kept": False, "note": "it <ran> away"}}))
    assert "Scale: the student" in page and "student: it &lt;ran&gt; away" in page and "student high" in page
    plain = [{key: value for key, value in row.items() if not key.startswith("scale")} for row in rows]
    assert "Scale" not in render("x", training_sections(plain))
