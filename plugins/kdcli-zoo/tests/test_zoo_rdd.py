"""Relative difficulty: the authors' numbers for classes, what weights say on depth, both phases, the auxiliary head."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kdcli_zoo import relative_difficulty as rd
from kdcli_zoo.rdd import Rdd
from torch import Tensor, nn
from zoo_runs import small

import kdcli
from kdcli.errors import SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch
from kdcli.testing.guards import no_waiting
from kdcli.types import DepthKind, Prediction, Tap

CITYSCAPES = torch.tensor([
    0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023, 0.9539, 0.9843, 1.1116, 0.9037,
    1.0865, 1.0955, 1.0865, 1.1529, 1.0507,
]).double()  # fmt: skip
"""Weights of the classes of Cityscapes that segmentation code commonly uses, in single precision as there."""


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "rdd.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def near(value: Tensor, wanted: Tensor, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(value, wanted, rtol=rtol, atol=rtol * float(wanted.abs().max()))


def compare(golden: dict[str, Tensor], name: str, value: Callable[[Tensor], Tensor]) -> None:
    """Compare a value with the authors', and its gradient where there is one."""
    student = golden["in.student_logits"].clone().requires_grad_()
    loss = value(student)
    near(loss, golden[f"out.{name}"])
    if f"grad.{name}_wrt_student" in golden:
        near(torch.autograd.grad(loss, student)[0], golden[f"grad.{name}_wrt_student"])


def test_the_first_phase_agrees_with_the_authors_code(golden: dict[str, Tensor]) -> None:
    teacher, aux, target = golden["in.teacher_logits"], golden["in.teacher_aux_logits"], golden["in.target"]
    near(rd.class_agreement(teacher, aux)[:, 0], torch.exp(-golden["out.vgd_kl"]))
    fine: Any = {"size": (13, 17), "mode": "bilinear", "align_corners": True}
    weight = nn.functional.interpolate(rd.class_agreement(teacher, aux), **fine)
    near(weight[:, 0], golden["out.vgd_weight"])
    compare(golden, "vgd", lambda student: rd.early_class_loss(student, teacher, aux, target))


@pytest.mark.parametrize("least", [0, 250])
@pytest.mark.parametrize(("name", "how"), [("XOR", "xor"), ("OR", "or"), ("AND", "and"), ("OHEM", "student")])
def test_the_second_phase_agrees_with_the_authors_code(
    golden: dict[str, Tensor], name: str, how: rd.Kept, least: int
) -> None:
    teacher, target = golden["in.teacher_logits"], golden["in.target"]
    compare(golden, f"edd_{name}_minkept{least}", lambda student: rd.late_class_loss(student, teacher, target, how,
                                                                                      least=least))


def test_the_second_phase_agrees_with_weights_of_classes(golden: dict[str, Tensor]) -> None:
    teacher, target = golden["in.teacher_logits"], golden["in.target"]
    compare(golden, "edd_XOR_minkept250_classweights", lambda student: rd.late_class_loss(
        student, teacher, target, "xor", least=250, class_weights=CITYSCAPES))


@pytest.mark.parametrize("temperature", [1, 4])
def test_the_distillation_beside_it_agrees_with_the_authors_code(golden: dict[str, Tensor], temperature: int) -> None:
    teacher = golden["in.teacher_logits"]
    compare(golden, f"kd_T{temperature}", lambda student: rd.class_distillation(student, teacher, temperature))


def test_nothing_kept_is_no_loss_and_not_no_number() -> None:
    logits = torch.randn(1, 5, 4, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.zeros(1, 8, 12, dtype=torch.int64)
    value = rd.late_class_loss(logits, logits.detach(), labels, "xor")
    assert value.item() == 0 and not torch.autograd.grad(value, logits)[0].any()


def test_a_ratio_is_its_own_weight() -> None:
    depth = torch.tensor([2.0, 2.0, 2.0, 2.0]).view(1, 1, 1, 4)
    other = torch.tensor([2.0, 2.5, 1.6, 8.0]).view(1, 1, 1, 4)
    near(rd.agreement(depth, other).flatten(), torch.tensor([1.0, 0.8, 0.8, 0.25]), 1e-6)
    wide = rd.gaussian_agreement(depth, other, 0.1).flatten()
    near(wide, torch.exp(-torch.tensor([1.0, 1.25, 1.25, 4.0]).log().square() / 0.02), 1e-5)


def test_what_is_hard() -> None:
    difficulty = torch.log(torch.tensor([1.0, 1.1, 1.2, 1.3, 9.0])).view(1, 1, 1, 5)
    valid = torch.tensor([True, True, True, True, False]).view(1, 1, 1, 5)
    border = math.log(1.25)

    def hard(least: int, where: Tensor = valid) -> list[bool]:
        found: list[bool] = rd.hard(difficulty, where, border, least).flatten().tolist()
        return found

    assert hard(0) == [False, False, False, True, False]
    assert hard(1) == hard(0)
    assert hard(3) == [False, True, True, True, False]
    assert hard(99) == [True, True, True, True, False]
    assert not any(hard(3, torch.zeros_like(valid)))


@pytest.mark.parametrize(
    ("how", "wanted"),
    [("xor", [0, 1, 1, 0]), ("or", [0, 1, 1, 1]), ("and", [0, 0, 0, 1]), ("student", [0, 0, 1, 1])],
)
def test_sets_of_hard_pixels(how: rd.Kept, wanted: list[int]) -> None:
    student, teacher = torch.tensor([False, False, True, True]), torch.tensor([False, True, False, True])
    assert rd.kept(student, teacher, how).int().tolist() == wanted


def test_the_first_phase_fades_as_in_the_authors_code() -> None:
    total, warmup = 40_000, 4_000
    shares = [rd.early_share(step / total, warmup / total, blend=True) for step in (4_000, 22_000, 40_000)]
    assert shares == pytest.approx([1.0, 0.5, 0.0])
    assert rd.early_share(0.05, 0.1, blend=True) == rd.early_share(0.05, 0.1, blend=False) == 1
    assert rd.early_share(0.1, 0.1, blend=False) == 0


def test_one_weight_is_both_means_at_once() -> None:
    generator = torch.Generator().manual_seed(1)
    error, early = torch.rand(2, 1, 5, 7, generator=generator), torch.rand(2, 1, 5, 7, generator=generator) + 0.1
    late = torch.rand(2, 1, 5, 7, generator=generator) > 0.6
    for share in (1.0, 0.3, 0.0):
        weight = rd.joined(early, late, share)
        value = (error * weight).sum() / (weight > 0).sum()
        near(value, share * (error * early).mean() + (1 - share) * error[late].mean(), 1e-5)
    assert not rd.joined(early, torch.zeros_like(late), 0.0).any()


class Says(nn.Module):
    """A network that has its answers."""

    depth_kind, depth_range = DepthKind.METRIC, (0.5, 8.0)

    def __init__(self, depth: Tensor, aux: Tensor | None = None) -> None:
        super().__init__()
        self.depth, self.aux, self.taps = depth, () if aux is None else (aux,), dict[str, Tap]()

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.depth[: len(image)], kind=self.depth_kind, aux=self.aux)


def weights(loss: Rdd, student: Tensor, teacher: Tensor, aux: Tensor | None = None, progress: float = 0.0) -> Tensor:
    """Return weights on maps, on a batch whose depth is known at most pixels."""
    ctx = fake_context(batch=toy_batch(size=(12, 16)), student=Says(student), teachers=Says(teacher, aux),
                       progress=progress)
    found = loss.pixel_weight(ctx)
    assert found is not None
    return found


def truth() -> tuple[Tensor, Tensor]:
    batch = toy_batch(size=(12, 16))
    assert batch.depth is not None and batch.valid is not None
    return batch.depth, batch.valid


def test_two_opinions_that_agree_leave_the_task_loss_as_it_is() -> None:
    depth, valid = truth()
    found = weights(Rdd(second="aux"), depth * 1.5, depth, depth)
    assert torch.equal(found, valid.float())
    apart = weights(Rdd(second="aux"), depth * 1.5, depth, depth * 1.25)
    near(apart[valid], torch.full_like(apart[valid], 0.8), 1e-5)
    assert not apart[~valid].any() and float(apart.max()) <= 1


def test_a_student_that_is_its_teacher_keeps_nothing() -> None:
    depth, _ = truth()
    assert not weights(Rdd(second="aux"), depth * 1.5, depth * 1.5, depth, progress=0.5).any()


def test_pixels_that_are_hard_for_one_of_both_are_kept() -> None:
    depth, valid = truth()
    student, teacher = depth.clone(), depth.clone()
    student[..., :4] *= 1.4  # both wrong
    teacher[..., :8] *= 1.3
    found = weights(Rdd(second="aux", least=0.0), student, teacher, depth, progress=0.5)
    wanted = torch.zeros_like(valid)
    wanted[..., 4:8] = True
    assert torch.equal(found > 0, wanted & valid) and set(found.unique().tolist()) == {0.0, 1.0}


def test_the_hardest_share_is_hard_whatever_its_ratio() -> None:
    depth, valid = truth()
    generator = torch.Generator().manual_seed(2)
    student = depth * (1 + 0.2 * torch.rand(depth.shape, generator=generator))
    found = weights(Rdd(second="aux", keep="student", least=0.25), student, depth, depth, progress=0.5)
    assert int(found.sum()) == round(0.25 * int(valid.sum()))


def test_weights_carry_no_gradient_and_the_task_loss_keeps_its_own() -> None:
    ctx = fake_context(progress=0.3)
    loss = Rdd(blend=True)
    loss.build(ctx)
    weight = loss.pixel_weight(ctx)
    assert weight is not None and not weight.requires_grad
    error, _ = ctx.task_map(ctx.student.out)
    assert ((error * weight).sum() / (weight > 0).sum()).requires_grad


def test_unlabelled_images_weigh_nothing() -> None:
    ctx = fake_context(batch=toy_batch(labelled=False))
    for progress in (0.0, 0.5):
        ctx.progress = progress
        loss = Rdd()
        loss.build(ctx)
        found = loss.pixel_weight(ctx)
        assert found is not None and not found.any()


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
def test_no_step_waits_for_the_device(progress: float) -> None:
    ctx = fake_context(progress=progress)
    loss = Rdd(blend=True)
    loss.build(ctx)
    with no_waiting():
        error, _ = ctx.task_map(ctx.student.out)
        weight = loss.pixel_weight(ctx)
        assert weight is not None
        (error * weight).sum().backward()


def headless() -> Any:
    """A context whose teacher has no auxiliary depth."""
    teacher = ToyDepth(seed=2)
    teacher.register_forward_hook(lambda module, inputs, out: replace(out, aux=()))
    return fake_context(teachers=teacher)


def test_a_head_is_asked_once_it_was_taught() -> None:
    ctx = headless()
    early = Rdd(phase="aux")
    early.build(ctx)
    value = early.terms(ctx)["aux"]
    value.backward()
    assert early.head is not None and all(p.grad is not None for p in early.head.parameters())
    assert not [p for view in (ctx.student, ctx.teacher) for p in view.model.parameters() if p.grad is not None]
    assert early.pixel_weight(ctx) is None
    late = Rdd(second="head")
    late.build(ctx)
    late.load_state_dict(early.state_dict())
    ctx.progress = 0.0
    found = late.pixel_weight(ctx)
    _, valid = ctx.truth()
    assert found is not None and torch.equal(found > 0, valid) and len(found[valid].unique()) > 2


def test_a_head_that_nobody_taught_has_no_opinion() -> None:
    ctx = headless()
    ctx.progress = 0.0
    loss = Rdd(second="head")
    loss.build(ctx)
    found = loss.pixel_weight(ctx)
    assert found is not None and torch.equal(found, ctx.truth()[1].float()) and ctx.notes["plugin.taught"] == 0


def test_where_there_is_neither_the_mirrored_image_gives_the_second_opinion() -> None:
    ctx = headless()
    ctx.progress = 0.0
    auto, flip = Rdd(), Rdd(second="flip")
    auto.build(ctx)
    flip.build(ctx)
    one, two = auto.pixel_weight(ctx), flip.pixel_weight(ctx)
    assert one is not None and two is not None and torch.equal(one, two) and flip.head is None
    said = ctx.teacher.out.depth
    with torch.no_grad():
        mirrored = ctx.teacher.model(ctx.batch.image.flip(-1)).depth.flip(-1)
    _, valid = ctx.truth()
    near(one[valid], rd.agreement(said, mirrored)[valid], 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"second": "aux", "blend": True, "keep": "or"}, {"second": "flip", "stand_in": "gaussian", "least": 0.0},
        {"phase": "aux"}, {"second": "head", "blend": True}, {"switch": 0.0, "keep": "student"},
    ],
)
def test_conforms(options: dict[str, Any]) -> None:
    report = check_loss(Rdd, options=options)
    assert "training" in report.passed and ("terms" in report.passed) == ("phase" not in options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"switch": 1.0}, "switch=1 "), ({"switch": -0.1}, "switch=-0.1 "), ({"ratio": 1.0}, "ratio=1 "),
        ({"least": 1.5}, "least=1.5 "), ({"width": 0.0}, "width=0 "), ({"width": math.nan}, "width=nan "),
        ({"ratio": math.nan}, "ratio=nan "), ({"phase": "aux", "second": "flip"}, "phase=aux teaches a head"),
    ],
)
def test_values_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Rdd(**options)


def test_the_recipe_teaches_the_head_first_and_then_leaves_it(tmp_path: Path) -> None:
    config = small("rdd", "run.export=none", "run.eval_data=none", "distill.batch_size=4")
    result = kdcli.distill(config, out=tmp_path / "run")
    rows = [json.loads(row) for row in (result.run / "metrics.jsonl").read_text("utf-8").splitlines()]
    first = [row for row in rows if row["stage"] == "aux"]
    main = [row for row in rows if row["stage"] == "distill"]
    assert first and all("term/rdd.aux" in row and "term/task" not in row for row in first)
    assert all("term/task" in row and "term/rdd.aux" not in row for row in main)
    assert main[0]["note/rdd.taught"] == len(first) == 1 and 0 < main[0]["note/rdd.agreement"] < 1
    assert any("note/rdd.agreement" in row for row in main) and any("note/rdd.kept" in row for row in main)
