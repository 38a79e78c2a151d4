"""ONE: the gate, what equal members give, who teaches whom, and that nothing of it is exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from kdcli_zoo.one import One, ensemble
from torch import Tensor
from zoo_runs import small, trained

import kdcli
from kdcli.errors import SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch


def built(**options: Any) -> tuple[One, Any]:
    def context() -> Any:
        return fake_context(student=ToyDepth(seed=1).eval(), batch=toy_batch(size=(16, 16)))

    torch.manual_seed(0)
    loss = One(tap="enc2", **options)
    with torch.no_grad():
        loss.build(context())
    return loss, context()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equal_members_are_their_own_teacher() -> None:
    member, weights = drawn(2, 1, 3, 4), drawn(2, 3).softmax(1)
    assert torch.allclose(ensemble(member.expand(-1, 3, -1, -1), weights), member, rtol=1e-12)


def test_the_ensemble_is_the_weighted_sum_image_by_image() -> None:
    members, weights = drawn(2, 3, 3, 4), drawn(2, 3, seed=1).softmax(1)
    by_hand = torch.stack([sum(weights[b, m] * members[b, m] for m in range(3)) for b in range(2)])[:, None]
    assert torch.allclose(ensemble(members, weights), by_hand, rtol=1e-12)


def test_the_gate_is_a_share_for_each_member_and_begins_undecided() -> None:
    loss, ctx = built(branches=3)
    feature = ctx.student.feat("enc2").mean(dim=(-2, -1))
    assert torch.allclose(loss.gate(feature).softmax(1), torch.full((2, 4), 0.25))
    with torch.no_grad():
        loss.gate.weight.copy_(drawn(4, 12))  # type: ignore[operator,union-attr]
    shares = loss.gate(feature).softmax(1)
    assert torch.allclose(shares.sum(1), torch.ones(2)) and not torch.allclose(shares[0], shares[1])


def test_branches_begin_at_the_depth_that_is_taught() -> None:
    loss, ctx = built()
    target, valid = ctx.target()
    median = target[valid].median()
    said = loss.heads[0](ctx.student.feat("enc2"))[0]
    assert said.median().item() == pytest.approx(median.item(), rel=0.1)


@pytest.mark.parametrize("form", ["depth", "bins"])
def test_distilling_moves_members_towards_the_ensemble_and_not_the_gate(form: str) -> None:
    loss, ctx = built(form=form)
    with torch.no_grad():
        for number, head in enumerate(loss.heads):
            head.head.bias += 0.5 * (number + 1)  # type: ignore[operator,union-attr]
    found = loss.terms(ctx)
    gate = torch.autograd.grad(found["distil"], list(loss.gate.parameters()), retain_graph=True, allow_unused=True)
    assert all(gradient is None for gradient in gate)
    found["ensemble"].backward(retain_graph=True)
    assert all(p.grad is not None and p.grad.any() for p in loss.gate.parameters())
    own = torch.autograd.grad(found["distil"], list(ctx.student.model.head.parameters()))
    assert all(gradient.any() for gradient in own)


def test_bins_are_the_divergence_of_two_bells() -> None:
    loss, _ = built(form="bins", width=0.2)
    members, together = drawn(2, 3, 2, 2), drawn(2, 1, 2, 2, seed=1)
    everywhere = torch.ones(2, 1, 2, 2, dtype=torch.bool)
    one = torch.distributions.Normal(together, 0.2)
    wanted = torch.distributions.kl_divergence(one, torch.distributions.Normal(members, 0.2)).mean()
    assert loss._apart(members, together, everywhere).item() == pytest.approx(wanted.item(), rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"branches": 4, "form": "bins"}, {"tap": "pre_head"}], ids=str)
def test_it_conforms(options: dict[str, object]) -> None:
    check_loss(One, options=options)


@pytest.mark.parametrize("options", [{"tap": ""}, {"branches": 0}, {"hidden": 0}, {"form": "x"}, {"width": 0.0}])
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        One(**options)


@pytest.mark.slow
def test_branches_and_gate_are_gone_when_the_student_is_exported(tmp_path: Path) -> None:
    lean = ("run.eval_data=none",)
    with_branches = kdcli.distill(small("one", *lean), out=tmp_path / "one")
    plain = kdcli.distill(small("plain", *lean), out=tmp_path / "plain")
    first, second = (trained(done.run)["student.safetensors"] for done in (with_branches, plain))
    assert {name: value.shape for name, value in first.items()} == {n: v.shape for n, v in second.items()}
    assert any(not torch.equal(first[name], second[name]) for name in first)
    files = [done.export for done in (with_branches, plain)]
    assert all(file is not None for file in files)
    counted = [kdcli.load_model(file).outside_parameters for file in files if file is not None]
    assert counted[0] == counted[1] is not None
