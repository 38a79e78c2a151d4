"""Mutual learning: no gradient crosses, the peer is a network of its own, and a run keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from kdcli_zoo.mutual import Mutual, divergence
from kdcli_zoo.shared.ranges import in_range
from torch import Tensor
from zoo_runs import small

import kdcli
from kdcli.errors import SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch

PEER = "[mobilenet,width=0.35,decoder=4]"
BINS = "[mobilenet,width=0.35,decoder=4,head=bins,bins=16]"


def built(peer: str = PEER, **options: Any) -> tuple[Mutual, Any]:
    def context() -> Any:
        return fake_context(student=ToyDepth(seed=1).eval(), batch=toy_batch(size=(32, 32)))

    torch.manual_seed(0)
    loss = Mutual(peer=peer, **options)
    with torch.no_grad():
        loss.build(context())
    return loss.eval(), context()


def reached(value: Tensor, module: torch.nn.Module) -> bool:
    found = torch.autograd.grad(value, list(module.parameters()), allow_unused=True, retain_graph=True)
    return any(gradient is not None and bool(gradient.any()) for gradient in found)


@pytest.mark.parametrize(("peer", "form"), [(PEER, "depth"), (PEER, "bins"), (BINS, "bins")])
def test_gradients_do_not_cross(peer: str, form: str) -> None:
    loss, ctx = built(peer, form=form)
    student = ctx.student.model
    found = loss.terms(ctx)
    assert set(found) == {"student", "peer", "taught"}
    assert reached(found["student"], student) and not reached(found["student"], loss.peer)
    for term in ("peer", "taught"):
        assert reached(found[term], loss.peer) and not reached(found[term], student)


def test_both_see_the_same_difference_of_depth() -> None:
    loss, ctx = built()
    found = loss.terms(ctx)
    assert found["student"].item() == pytest.approx(found["peer"].item(), rel=1e-6) and found["peer"] > 0


def test_the_divergence_is_that_of_distributions() -> None:
    one, two = (torch.rand(2, 5, 3, 4, dtype=torch.float64).log_softmax(1) for _ in range(2))
    valid = torch.rand(2, 1, 3, 4) > 0.3
    each = (two.exp() * (two - one)).sum(1, keepdim=True)
    assert divergence(one, two, valid).item() == pytest.approx(each[valid].mean().item(), rel=1e-12)
    assert divergence(one, one, valid).item() == 0


def test_the_peer_learns_from_the_teacher_as_plain_does() -> None:
    loss, ctx = built()
    target, valid = ctx.target()
    said = loss.peer(ctx.batch.image).depth
    first, second = (kdcli.build("loss", name)(said, target, valid) for name in ("log-l1", "gradient"))
    plain = first + 0.5 * second
    assert loss.terms(ctx)["taught"].item() == pytest.approx(plain.item(), rel=1e-6)


def test_the_peer_has_the_student_s_range_and_begins_at_what_is_taught() -> None:
    loss, ctx = built()
    assert loss.peer.depth_range == (0.1, ctx.student.model.depth_range[1])
    target, valid = ctx.target()
    said = loss.peer(ctx.batch.image).depth
    assert said.median().item() == pytest.approx(target[valid].median().item(), rel=0.15)
    assert in_range("mobilenet,max_depth=5", 8.0).depth_range == (0.1, 5.0)


@pytest.mark.parametrize("options", [{"peer": PEER}, {"peer": BINS, "form": "bins"}], ids=str)
def test_it_conforms(options: dict[str, object]) -> None:
    report = check_loss(Mutual, options=options)
    assert "optional members" in report.passed


@pytest.mark.parametrize("options", [{"form": "x"}, {"bins": 1}, {"width": 0.0}, {"peer": ""}])
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        Mutual(**options)


def test_a_peer_whose_numbers_mean_something_else_is_refused() -> None:
    with pytest.raises(SpecError, match="'pydnet' gives affine_disparity, the student metric"):
        built("pydnet")


def test_a_run_keeps_the_peer_as_a_student(tmp_path: Path) -> None:
    config = small("mutual", "export=none", "run.eval_data=none",
                   f'losses={{ "mutual,peer={PEER},as=mutual" = 1.0, log-l1 = 1.0 }}')
    run = kdcli.distill(config, out=tmp_path / "run").run
    file = run / "stages" / "mutual.peer.safetensors"
    peer = kdcli.load_model(file)
    assert peer.architecture.startswith("mobilenet,width=0.35") and peer.card["teachers"][0]["spec"] == "demo"
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["networks"]["stages/mutual.peer.safetensors"]["stage"] == "distill"
    result = kdcli.evaluate({"peer": peer}, kdcli.load_source("sim:rooms,count=2,size=64x64"))["peer"]
    assert result.n == 2
    exported = kdcli.export(peer, "onnx", tmp_path / "peer.onnx", images=torch.rand(1, 3, 64, 64), card=peer.card)
    assert exported.worst is not None and exported.worst.relative < 1e-3
