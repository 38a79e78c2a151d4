"""Random numbers of the context are compared fairly; any others are found."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from only import only
from plain import Dims, Plain
from torch import Tensor, nn

from kdcli.maps import masked_mean
from kdcli.testing import check_loss
from kdcli.types import ANY_KIND, Batch, Needs


class ScalesAtRandom(Plain):
    """One random factor for the batch."""

    def weight(self, ctx: Any) -> Any:
        return 0.5 + torch.rand((), generator=ctx.generator, device=ctx.batch.image.device)


class PixelsAtRandom(Plain):
    """A share of the pixels, and features of a layer whose making draws from the context's numbers."""

    def gap(self, ctx: Any) -> Tensor:
        target, valid = ctx.target()
        depth = ctx.student.out.depth
        chosen = torch.rand(depth.shape, generator=ctx.generator, device=depth.device) < 0.5
        return masked_mean((depth - target).square(), valid & chosen)


class Projects(nn.Module, Plain):
    """Makes its layer and draws in ``build`` and in every step."""

    needs = Needs(kinds=ANY_KIND)

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def build(self, ctx: Any) -> None:
        self.register_buffer("start", torch.rand((), generator=ctx.generator))
        self.factor.data += torch.rand(())

    def weight(self, ctx: Any) -> Any:
        return self.factor.square() * (self.start + torch.rand((), generator=ctx.generator))


class ScaleFree(Plain):
    """Invariant to scale with pixels drawn at random: only fair with the same numbers."""

    invariances = frozenset({"scale"})

    def gap(self, ctx: Any) -> Tensor:
        target, valid = ctx.target()
        depth = ctx.student.out.depth
        chosen = valid & (torch.rand(depth.shape, generator=ctx.generator, device=depth.device) < 0.3)
        logs = depth.log() - target.log()
        mean = masked_mean(logs, chosen, (1, 2, 3)).view(-1, 1, 1, 1)
        return 100 * masked_mean((logs - mean).square(), chosen)


def test_a_draw_for_the_whole_batch_is_compared() -> None:
    report = check_loss(ScalesAtRandom)
    assert "duplicated batch" in report.passed


@pytest.mark.parametrize("sound", [PixelsAtRandom, ScaleFree])
def test_draws_for_each_image_are_passed_over_where_nothing_can_be_compared(sound: type[Plain]) -> None:
    report = check_loss(sound, skip=["every depth kind"])
    assert {"value at equality", "finite differences", "deterministic", "training"} <= set(report.passed)
    twice = next(check for check in report.checks if check.name == "duplicated batch")
    assert twice.outcome == "skipped"
    assert "draws for each image (rand" in twice.detail


def test_a_loss_that_draws_in_build_is_compared_fairly() -> None:
    assert {"build", "own parameters", "deterministic", "training"} <= set(check_loss(Projects).passed)


class SumsAndDraws(ScalesAtRandom):
    def gap(self, ctx: Any) -> Tensor:
        return super().gap(ctx) * len(ctx.batch)


class Numpy(Plain):
    def weight(self, ctx: Any) -> Any:
        return 1 + 0 * np.random.rand()  # noqa: NPY002


class OwnTorch(Plain):
    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def weight(self, ctx: Any) -> Any:
        return torch.rand((), generator=self.generator)


class OwnPython(Plain):
    def __init__(self) -> None:
        self.random = random.Random(0)

    def weight(self, ctx: Any) -> Any:
        return 1 + self.random.random()


FAULTS = {
    SumsAndDraws: ("duplicated batch", "every image is there twice"), Numpy: ("deterministic", "global random numbers"),
    OwnTorch: ("deterministic", "a generator of its own (rand)"), OwnPython: ("deterministic", "numbers of its own"),
}


@pytest.mark.parametrize("faulty", FAULTS)
def test_other_random_numbers_and_other_faults_of_what_draws_are_found(faulty: type[Plain]) -> None:
    name, told = FAULTS[faulty]
    found = only("loss", faulty, name)
    assert found.outcome == "failed"
    assert told in found.detail


class DimsByItself(Dims):
    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def weight(self, ctx: Any) -> Any:
        return torch.rand((), generator=self.generator)


class LooksAtModels(Dims):
    def mix(self, batch: Batch, ctx: Any) -> Batch:
        assert ctx.student is not None
        return super().mix(batch, ctx)


def test_mixers_draw_from_the_context_and_are_given_no_models() -> None:
    own = only("mixer", DimsByItself, "deterministic")
    assert own.outcome == "failed"
    assert "a generator of its own" in own.detail
    assert only("mixer", LooksAtModels, "same size").outcome == "failed"
