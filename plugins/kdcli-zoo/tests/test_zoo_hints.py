"""FitNets and FSP: the authors' numbers, regressors and projections, the stage before the main one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from kdcli_zoo.fitnets import FitNets, hint
from kdcli_zoo.fsp import Fsp, flow, fsp
from torch import Tensor, nn
from zoo_runs import small

import kdcli
from kdcli.errors import SpecError
from kdcli.maps import averaged_alike
from kdcli.testing import check_loss, fake_context, toy_batch
from kdcli.training.run.progress import Silent


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    file = np.load(shared / "golden" / "losses" / "rep_features.npz")
    return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def agree(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


def test_the_authors_hint_and_gradient(golden: dict[str, Tensor]) -> None:
    student = golden["in.student_a"].clone().requires_grad_()
    found = hint(student, golden["in.teacher_a"])
    agree(found, golden["out.fitnet"])
    agree(torch.autograd.grad(found, student)[0], golden["grad.fitnet_wrt_student"])


def test_the_authors_flow_and_gradients(golden: dict[str, Tensor]) -> None:
    fine, coarse = (golden[f"in.student_{layer}"].clone().requires_grad_() for layer in "ab")
    found = fsp(fine, coarse, golden["in.teacher_a"], golden["in.teacher_b"])
    agree(found, golden["out.fsp"])
    for gradient, name in zip(torch.autograd.grad(found, (fine, coarse)), ("student", "student2"), strict=True):
        agree(gradient, golden[f"grad.fsp_wrt_{name}"])


def test_a_flow_is_the_mean_of_products_over_places() -> None:
    fine, coarse = torch.randn(2, 3, 4, 6), torch.randn(2, 5, 2, 3)
    pooled = fine.view(2, 3, 2, 2, 3, 2).mean((3, 5))
    wanted = torch.einsum("bchw,bdhw->bcd", pooled, coarse) / 6
    torch.testing.assert_close(flow(fine, coarse), wanted)
    assert fsp(fine, coarse, fine, coarse) == 0


def test_of_two_sizes_the_larger_is_averaged_along_each_side() -> None:
    one, other = averaged_alike(torch.randn(1, 2, 4, 3), torch.randn(1, 5, 2, 6))
    assert one.shape == (1, 2, 2, 3) and other.shape == (1, 5, 2, 3)


def test_a_hint_that_is_met_is_nothing() -> None:
    ctx = fake_context(taps=("enc1",), teacher_taps=("enc1",))
    loss = FitNets(student_taps="enc1", teacher_taps="enc1")
    with torch.no_grad():
        loss.build(ctx)
        feature = ctx.student.feat("enc1")
        # The regressor that leads from the student's feature to the teacher's, by least squares, does better than 0.
        rows = torch.cat([feature, torch.ones_like(feature[:, :1])], 1).transpose(0, 1).flatten(1).T
        wanted = ctx.teacher.feat("enc1").transpose(0, 1).flatten(1).T
        best = torch.linalg.lstsq(rows.double(), wanted.double()).solution.float()
        before = loss.terms(ctx)["hint"]
        (regressor,) = loss.regressors
        assert isinstance(regressor, nn.Conv2d) and regressor.bias is not None
        regressor.weight.copy_(best[:-1].T[..., None, None])
        regressor.bias.copy_(best[-1])
        met = loss.terms(ctx)["hint"]
        residual = (rows @ best - wanted).square().mean()
    torch.testing.assert_close(met, residual, rtol=1e-3, atol=1e-6)
    assert met < before
    same = fake_context(student=ctx.teacher.model, teachers=ctx.teacher.model)
    with torch.no_grad():
        regressor.weight.copy_(torch.eye(8)[..., None, None])
        regressor.bias.zero_()
        assert loss.terms(same)["hint"] < 1e-10


def test_channels_that_differ_get_projections_and_others_none() -> None:
    student, teacher = kdcli.build("student", "mobilenet,width=0.35"), kdcli.build("student", "mobilenet")
    ctx = fake_context(batch=toy_batch(size=(64, 64)), student=student.eval(), teachers=teacher)
    loss = Fsp(student_taps="enc1|enc2|dec4", teacher_taps="enc1|enc2|dec4")
    with torch.no_grad():
        loss.build(ctx)
    kinds = [type(module) for module in loss.projections]
    widths = [(student.taps[tap].channels, teacher.taps[tap].channels) for tap in loss.student_taps]
    assert kinds == [nn.Identity if mine == theirs else nn.Conv2d for mine, theirs in widths]
    assert nn.Identity in kinds and nn.Conv2d in kinds
    value = loss.terms(ctx)["flow"]
    gradients = torch.autograd.grad(value, list(loss.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_pairs_of_neighbours_are_summed() -> None:
    ctx = fake_context()
    taps = ("enc1", "enc2", "dec1")
    loss = Fsp(student_taps="|".join(taps), teacher_taps="|".join(taps))
    with torch.no_grad():
        loss.build(ctx)
    mine, theirs = ([view.feat(tap) for tap in taps] for view in (ctx.student, ctx.teacher))
    wanted = fsp(*mine[:2], *theirs[:2]) + fsp(*mine[1:], *theirs[1:])
    torch.testing.assert_close(loss.terms(ctx)["flow"], wanted)


@pytest.mark.parametrize("options", [{}, {"student_taps": "enc2|dec1", "teacher_taps": "enc3|pre_head"}])
def test_hints_conform(options: dict[str, object]) -> None:
    check_loss(FitNets, options=options)


@pytest.mark.parametrize("options", [{}, {"student_taps": "a|b|c", "teacher_taps": "d|e|f"}])
def test_flows_conform(options: dict[str, object]) -> None:
    check_loss(Fsp, options=options)


def test_they_conform_on_networks_of_unlike_channels() -> None:
    student, teacher = kdcli.build("student", "mobilenet,width=0.35"), kdcli.build("teacher", "demo")
    for factory in (FitNets, Fsp):
        # Rectifiers have kinks, so that differences along a thousand directions of a deep network tell nothing.
        check_loss(factory, student=student, teachers=teacher, skip=("finite differences",))


def test_names_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(SpecError, match="give as many of each"):
        FitNets(student_taps="enc1|enc2")
    with pytest.raises(SpecError, match="names no features"):
        FitNets(student_taps="", teacher_taps="enc1")
    with pytest.raises(SpecError, match="between two"):
        Fsp(student_taps="enc1", teacher_taps="enc1")



@pytest.mark.parametrize("recipe", ["fitnets", "fsp"])
def test_both_stages_have_as_many_steps_as_plain(recipe: str) -> None:
    assert sum(stage.steps or 0 for stage in kdcli.configure(recipe).stages) == kdcli.configure("plain").main.steps


@pytest.mark.parametrize("factory", [FitNets, Fsp])
def test_what_lies_behind_the_hint_gets_no_gradient(factory: type[FitNets] | type[Fsp]) -> None:
    student, teacher = kdcli.build("student", "mobilenet"), kdcli.build("teacher", "demo")
    first, then = (fake_context(batch=toy_batch(size=(64, 64)), student=student, teachers=teacher) for _ in range(2))
    loss = factory()
    with torch.no_grad():
        loss.build(first)
    (value,) = loss.terms(then).values()
    torch.autograd.backward(value)
    reached = {name.partition(".")[0] for name, parameter in student.named_parameters() if parameter.grad is not None}
    assert reached == {"backbone"}
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in loss.parameters())


def test_the_regressor_goes_on_into_a_later_stage_of_the_same_name(tmp_path: Path) -> None:
    losses = "main.losses={ fitnets = 100.0, log-l1 = 1.0 }"
    config = small("fitnets", losses, "export=none", "run.eval_data=none", "main.lr=1e-9")
    said: list[str] = []

    class Heard(Silent):
        def note(self, message: str) -> None:
            said.append(message)

    run = kdcli.distill(config, out=tmp_path / "run", progress=Heard()).run
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    terms = [(row["stage"], row.get("term/fitnets.hint")) for row in rows]
    assert [stage for stage, _ in terms] == ["hint", "main", "main", "main"]
    assert all(value is not None for _, value in terms)
    assert "student: main: loss 'fitnets' goes on with what it learned before" in said
