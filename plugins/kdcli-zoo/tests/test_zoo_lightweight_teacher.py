"""LW-KD: labels by the true bin, what they are of one-hot distributions, the critic and who trains it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from kdcli_zoo.lightweight_teacher import (
    LightweightTeacher,
    bin_of,
    critic_loss,
    divergence,
    fooling,
    gathered,
    soft_labels,
)
from torch import Tensor
from torch.nn import functional
from zoo_runs import small

import kdcli
from kdcli.errors import SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch
from kdcli.weights import load_state


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_one_hot_labels_give_the_cross_entropy() -> None:
    logits, at = drawn(2, 5, 3, 4).requires_grad_(), torch.randint(5, (2, 1, 3, 4))
    valid = torch.rand(2, 1, 3, 4) > 0.3
    labels = functional.one_hot(at[:, 0], 5).permute(0, 3, 1, 2).double()
    value = divergence(logits.log_softmax(1), labels, valid)
    each = functional.cross_entropy(logits, at[:, 0], reduction="none")
    wanted = each[valid[:, 0]].mean()
    assert value.item() == pytest.approx(wanted.item(), rel=1e-12)
    got, want = (torch.autograd.grad(one, logits)[0] for one in (value, wanted))
    assert torch.allclose(got, want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_equal_distributions_are_at_zero(temperature: float) -> None:
    logs = drawn(2, 5, 3, 4).log_softmax(1).requires_grad_()
    everywhere = torch.ones(2, 1, 3, 4, dtype=torch.bool)
    value = divergence(logs, logs.detach().exp(), everywhere, temperature)
    assert abs(value.item()) < 1e-12
    other = divergence(logs, drawn(2, 5, 3, 4, seed=1).softmax(1), everywhere, temperature)
    assert other > 0.01


def test_labels_are_the_mean_of_what_was_said_of_each_bin() -> None:
    probs, valid = drawn(1, 3, 1, 4).softmax(1), torch.tensor([[[[True, True, True, False]]]])
    sums, count = gathered(probs, torch.tensor([[[[0, 0, 2, 1]]]]), valid)
    labels = soft_labels(sums, count)
    assert torch.allclose(labels[0], probs[0, :, 0, :2].mean(1)) and torch.allclose(labels[2], probs[0, :, 0, 2])
    assert labels[1].tolist() == [0, 1, 0]  # never met: that bin alone
    assert torch.allclose(labels.sum(1), torch.ones(3, dtype=torch.float64))


def test_a_depth_lies_in_the_nearest_bin() -> None:
    centers = torch.tensor([1.0, 2.0, 4.0]).log()
    depth = torch.tensor([0.0, 1.0, 1.40, 1.43, 3.9, 100.0]).view(1, 1, 1, 6)
    assert bin_of(depth, centers).flatten().tolist() == [0, 0, 0, 1, 2, 2]


def test_at_chance_the_critic_loses_two_ln_two() -> None:
    zero, valid = torch.zeros(2, 1, 3, 4, dtype=torch.float64), torch.ones(2, 1, 3, 4, dtype=torch.bool)
    assert critic_loss(zero, zero, valid).item() == pytest.approx(2 * math.log(2), rel=1e-12)
    assert fooling(zero, valid).item() == pytest.approx(math.log(2), rel=1e-12)
    assert critic_loss(zero + 20, zero - 20, valid) < 1e-8 < fooling(zero - 20, valid)
    assert critic_loss(zero + 1, zero, ~valid).item() == 0


def built(seed: int = 1, **options: Any) -> tuple[LightweightTeacher, Any]:
    ctx = fake_context(student=ToyDepth(seed=seed).eval(), batch=toy_batch(size=(16, 16)))
    torch.manual_seed(0)
    loss = LightweightTeacher(bins=8, **options)
    with torch.no_grad():
        loss.build(ctx)
    return loss, ctx


def test_the_label_depends_on_the_true_bin_alone() -> None:
    loss, _ = built()
    with torch.no_grad():
        loss.sums.copy_(drawn(8, 8).softmax(1))
        loss.count.fill_(1)
    logs = torch.zeros(2, 8, 2, 2)
    at = torch.tensor([3, 1, 3, 0, 5, 3, 1, 3]).view(2, 1, 2, 2)
    labels = loss._labels(at, logs).permute(1, 0, 2, 3).flatten(1)
    for place, number in enumerate(at.flatten().tolist()):
        assert torch.allclose(labels[:, place], loss.sums[number].float())


def test_the_light_teacher_s_stage_gathers_late_and_has_one_term() -> None:
    loss, ctx = built(role="teacher", gather=0.5)
    assert set(loss.terms(ctx)) == {"hard"} and loss.inner_steps == 0
    with torch.no_grad():
        ctx.progress = 0.4
        loss.after_step(ctx)
        assert not loss.count.any()
        ctx.progress = 0.5
        loss.after_step(ctx)
    _, valid = ctx.truth()
    assert loss.count.sum().item() == valid.sum().item()
    assert torch.allclose(loss.sums.sum(1), loss.count, atol=1e-3)


def test_the_main_step_leaves_the_critic_and_the_critic_the_student() -> None:
    loss, ctx = built()
    torch.stack(list(loss.terms(ctx).values())).sum().backward()
    assert all(parameter.grad is None for parameter in loss.critic.parameters())
    assert any(p.grad is not None and p.grad.any() for p in ctx.student.model.parameters())
    for parameter in ctx.student.model.parameters():
        parameter.grad = None
    loss.inner_loss(ctx).backward()
    assert all(parameter.grad is not None for parameter in loss.critic.parameters())
    assert all(parameter.grad is None for parameter in ctx.student.model.parameters())


@pytest.mark.parametrize("options", [{}, {"role": "teacher"}, {"temperature": 2.0, "bins": 12}], ids=str)
def test_it_conforms(options: dict[str, object]) -> None:
    check_loss(LightweightTeacher, options=options)


@pytest.mark.parametrize("options", [
    {"role": "both"}, {"bins": 1}, {"temperature": 0.0}, {"gather": 1.0}, {"width": 0}, {"critic_lr": -1.0},
])
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        LightweightTeacher(**options)


def test_labels_go_on_into_the_student_s_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, Tensor, Tensor]] = []
    usual = LightweightTeacher.terms

    def watched(self: LightweightTeacher, ctx: Any) -> Any:
        seen.append((ctx.stage, self.count.clone(), self.ends.clone()))
        return usual(self, ctx)

    monkeypatch.setattr(LightweightTeacher, "terms", watched)
    config = small("lightweight-teacher", "light.steps=4", "export=none", "run.eval_data=none")
    run = kdcli.distill(config, out=tmp_path / "run").run
    assert not seen[0][1].any()
    after = [count for stage, count, _ in seen if stage == "distill"]
    assert after[0].sum() > 0 and torch.equal(after[0], after[-1])
    assert all(torch.equal(ends, seen[0][2]) for _, _, ends in seen)
    light = load_state(run / "stages" / "light.safetensors")
    student = load_state(run / "student.safetensors")
    assert sum(v.numel() for v in light.values()) < sum(v.numel() for v in student.values()) / 2
