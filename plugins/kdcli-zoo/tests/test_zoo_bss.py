"""Pushed images: a push raises the disagreement, factors fall, and nothing is pushed at the end."""

from __future__ import annotations

import pytest
import torch
from kdcli_zoo.bss import Bss, bss_factor, disagreement, kd_factor, moved
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch
from kdcli.types import ReadOut


def of_each(loss: Bss, ctx: object, image: Tensor) -> Tensor:
    """Return each image's disagreement."""
    with torch.no_grad():
        mine, theirs = ctx.student.call(image).depth, ctx.teacher.call(image).depth  # type: ignore[attr-defined]
    apart, _ = disagreement(mine, theirs, torch.ones_like(mine, dtype=torch.bool), loss.measure)
    return apart.mean((1, 2, 3))


@pytest.mark.parametrize("measure", ["log-l1", "log-l2"])
@pytest.mark.parametrize("training", [False, True])
def test_every_push_raises_the_disagreement_of_every_image(measure: str, training: bool) -> None:
    ctx = fake_context(batch=toy_batch(batch=4), progress=0.0)
    ctx.student.model.train(training)
    image, seen = ctx.batch.image, []
    for pushes in (1, 2, 3):
        loss = Bss(pushes=pushes, step=0.004, measure=measure)  # type: ignore[arg-type]
        seen.append(of_each(loss, ctx, loss.push(ctx, image)))
    first = of_each(loss, ctx, image)
    assert (seen[0] > first).all() and (seen[1] > seen[0]).all() and (seen[2] > seen[1]).all()


def test_a_push_is_a_step_of_its_length_and_stays_an_image() -> None:
    image = torch.full((2, 3, 8, 8), 0.5)
    slope = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-30, 1e20]).view(
        2, 1, 1, 1
    )
    length = (moved(image, slope, 0.05) - image).square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(length, torch.full((2,), 0.05))
    assert torch.equal(moved(image, torch.zeros_like(image), 0.05), image)
    edge = moved(torch.zeros(1, 3, 4, 4), -torch.ones(1, 3, 4, 4), 0.5)
    assert torch.equal(edge, torch.zeros(1, 3, 4, 4))


def test_the_factors_fall_as_published() -> None:
    assert [kd_factor(p) for p in (0.0, 0.5, 1.0)] == [4.0, 2.5, 1.0]
    assert [bss_factor(p) for p in (0.0, 0.375, 0.75, 0.9)] == [2.0, 1.0, 0.0, 0.0]


def test_terms_are_the_disagreement_times_its_factor() -> None:
    ctx = fake_context(batch=toy_batch(batch=4), progress=0.5)
    depth, (target, _) = ctx.student.out.depth, ctx.target()
    wanted = 2.5 * (depth.log() - target.log()).abs().mean()
    found = Bss().terms(ctx)
    torch.testing.assert_close(found["kd"], wanted)
    assert found["pushed"].requires_grad and found["pushed"] > 0
    assert ctx.notes["plugin.after"] > ctx.notes["plugin.before"]


def test_nothing_is_pushed_in_the_last_quarter() -> None:
    ctx = fake_context(progress=0.75)
    found = Bss().terms(ctx)
    assert found["pushed"] == 0 and (ctx.student.passes, ctx.teacher.passes) == (1, 1)


@pytest.mark.parametrize("pushes", [1, 3])
def test_what_a_step_costs(pushes: int) -> None:
    ctx = fake_context(progress=0.0)
    Bss(pushes=pushes).terms(ctx)
    assert (ctx.student.passes, ctx.teacher.passes) == (2 + pushes, 2 + pushes)


def test_the_images_with_the_least_disagreement_are_pushed() -> None:
    ctx = fake_context(batch=toy_batch(batch=4), progress=0.0)
    shown: list[Tensor] = []

    class Watched(Bss):
        def push(self, ctx: object, image: Tensor, intrinsics: Tensor | None = None) -> Tensor:
            shown.append(image)
            return image

    Watched(images=2).terms(ctx)
    depth, (target, _) = ctx.student.out.depth, ctx.target()
    order = (depth.log() - target.log()).abs().mean((1, 2, 3)).argsort()
    assert torch.equal(shown[0], ctx.batch.image[order[:2]])


def test_pushed_images_are_read_as_the_batch_is() -> None:
    teacher = ToyDepth(seed=2)
    teacher.read_out = ReadOut(focal=24.0, clip=(0.5, 7.0))
    ctx = fake_context(teachers=teacher, progress=0.0)
    loss = Bss(step=1e-9)  # the images stay
    loss.terms(ctx)
    plain = fake_context(progress=0.0)
    loss.terms(plain)
    assert float(ctx.notes["plugin.after"]) == pytest.approx(float(ctx.notes["plugin.before"]), rel=1e-4)
    assert float(ctx.notes["plugin.before"]) != pytest.approx(float(plain.notes["plugin.before"]), rel=1e-2)


@pytest.mark.parametrize("options", [{}, {"pushes": 1, "images": 1}, {"measure": "log-l2", "step": 0.1}])
def test_conforms(options: dict[str, object]) -> None:
    check_loss(Bss, options=options)


@pytest.mark.parametrize(
    "options", [{"pushes": 0}, {"step": 0.0}, {"step": 2.0}, {"images": 65}, {"measure": "l1"}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        Bss(**options)  # type: ignore[arg-type]
