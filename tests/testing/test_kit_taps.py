"""Toys have what a loss declares: taps of equal shape at the same place, module: and input: taps, every output."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain import Plain
from torch import Tensor, nn

from kdcli.maps import widen
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch
from kdcli.types import ANY_KIND, Needs


class Subtracts(Plain):
    """Features at the same place of the two lists are compared as they are."""

    needs = Needs(
        kinds=ANY_KIND, student_taps=("block1", "module:decoder.levels.0", "input:head"),
        teacher_taps=("module:enc2", "input:blocks.11.norm", "bins"),
    )
    value_at_equality = 0.0

    def gap(self, ctx: Any) -> Tensor:
        pairs = zip(self.needs.student_taps, self.needs.teacher_taps, strict=True)
        features = [(widen(ctx.student.feat(mine)), widen(ctx.teacher.feat(its))) for mine, its in pairs]
        assert [tuple(mine.shape[1:]) for mine, _ in features] == [tuple(its.shape[1:]) for _, its in features]
        assert len({mine.shape[1:] for mine, _ in features}) > 1
        return torch.stack([(mine - its).square().mean() for mine, its in features]).mean()


class Elsewhere(Subtracts):
    """Taps of other images."""

    value_at_equality = float("nan")

    def gap(self, ctx: Any) -> Tensor:
        image = ctx.batch.image.flip(-1)
        taps, its = self.needs.student_taps, self.needs.teacher_taps
        _, mine = ctx.student.call(image, taps=taps)
        _, theirs = ctx.teacher.call(image, gradient=False, taps=its)
        return torch.stack([
            (widen(mine[a]) - widen(theirs[b])).abs().mean() for a, b in zip(taps, its, strict=True)
        ]).mean()


@pytest.mark.parametrize("sound", [Subtracts, Elsewhere])
def test_taps_at_the_same_place_have_equal_shapes(sound: type[Plain]) -> None:
    report = check_loss(sound)
    assert {"terms", "finite differences", "deterministic", "training"} <= set(report.passed)


def test_what_stands_for_a_module_changes_nothing() -> None:
    image = toy_batch().image
    toy, plain = ToyDepth(seed=3, taps=["module:a.b", "input:c", "x", "module:a.b"]).eval(), ToyDepth(seed=3).eval()
    assert torch.equal(toy(image).depth, plain(image).depth)
    assert isinstance(toy.get_submodule("a.b"), nn.Identity)
    assert toy.get_submodule("enc1") is toy.enc1
    ctx = fake_context(taps=["module:a.b"], teacher_taps=["input:other"])
    assert ctx.student.feat("module:a.b").shape == ctx.teacher.feat("input:other").shape


class Outputs(Plain):
    """Looks at all that a prediction can hold, of both."""

    needs = Needs(kinds=ANY_KIND, outputs=frozenset({"probs", "aux", "branches", "std"}),
                  teacher_outputs=frozenset({"probs", "entropy"}))

    def gap(self, ctx: Any) -> Tensor:
        mine, its = ctx.student.out, ctx.teacher.out
        assert mine.entropy is None or mine.entropy.shape == mine.std.shape
        weight = 1 + widen(its.entropy).mean()
        maps = [widen(part).square().mean() for part in (mine.std, *mine.aux, *mine.branches)]
        bins = (widen(mine.probs).mean() - widen(its.probs).mean()).square() + widen(mine.centers).mean() * 0
        return super().gap(ctx) * weight + 0.1 * torch.stack(maps).mean() + bins

    value_at_equality = float("nan")


def test_toys_give_every_output_that_is_declared() -> None:
    assert {"terms", "needs", "finite differences"} <= set(check_loss(Outputs).passed)
