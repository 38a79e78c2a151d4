"""Inner features: what the teacher's encoder sees, for the student to see as well.

A hint (Romero et al., arXiv 1412.6550) at several places at once, throughout the training, with every
channel of the teacher's brought to one scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.maps import averaged_alike, full_precision, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs

FLOOR = 0.1
"""Smallest deviation of a channel, as a share of the root mean square over all channels of its feature: what hardly
moves must not count more than all the rest."""


class Features(nn.Module):
    """Mean square of reg(F_s) - (F_t - m) / s, the mean over pairs of features of student and teacher.

    reg is a 1x1 convolution of the loss's own; the student is exported without. m and s are mean and deviation of each
    channel of the teacher's feature on the first batch, and stay: a student that says nothing has a loss of about 1 at
    every place. Of two sizes the larger feature is averaged to the smaller.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = float("nan")
    """The convolutions begin at random."""
    invariances: frozenset[str] = frozenset({"scale", "shift"})
    """Depth does not enter."""

    def __init__(self, *, taps: str = "enc@4|enc@8|enc@16|enc@32", teacher_taps: str = "") -> None:
        """Take the names of features, ``A|B``.

        taps: the student's. teacher_taps: as many of the teacher's; the same names where none is given.

        Raises:
            SpecError: they cannot be paired.
        """
        super().__init__()
        mine, theirs = names(taps), names(teacher_taps or taps)
        if len(mine) != len(theirs):
            raise SpecError(
                f"features: taps={taps} and teacher_taps={teacher_taps} are not as many; give as many of each"
            )
        self.pairs = tuple(zip(mine, theirs, strict=True))
        self.needs = Needs(kinds=ANY_KIND, student_taps=mine, teacher_taps=theirs)
        self.carried = nn.ModuleList()

    def build(self, ctx: StepContext) -> None:
        """Make a convolution for each pair, and look at how large the teacher's channels are."""
        self.carried = nn.ModuleList(
            Carried(ctx.student.feat(mine).shape[1], widen(ctx.teacher.feat(theirs).detach()))
            for mine, theirs in self.pairs
        )

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean over the pairs."""
        with full_precision(ctx.batch.image.device):
            apart = [
                carried(widen(ctx.student.feat(mine)), widen(ctx.teacher.feat(theirs).detach()))
                for carried, (mine, theirs) in zip(self.carried, self.pairs, strict=True)
            ]
            return {"features": torch.stack(apart).mean()}


class Carried(nn.Module):
    """How far a student's feature, carried by a 1x1 convolution, is from a teacher's."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, theirs: Tensor) -> None:
        """channels: of the student's feature. theirs: B x C x h x w, by which its channels are scaled."""
        super().__init__()
        self.regressor = nn.Conv2d(channels, theirs.shape[1], 1)
        variance, mean = torch.var_mean(theirs, dim=(0, 2, 3), correction=0, keepdim=True)
        typical = variance.mean().sqrt()
        floor = FLOOR * torch.where(typical > 0, typical, 1.0)  # of one without any change nothing is learnt
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", torch.maximum(variance.sqrt(), floor))

    def forward(self, mine: Tensor, theirs: Tensor) -> Tensor:
        """Return the mean square difference of features B x C x h x w."""
        said, wanted = averaged_alike(self.regressor(mine), (theirs - self.mean) / self.deviation)
        return (said - wanted).square().mean()


def names(text: str) -> tuple[str, ...]:
    """Return the names of ``A|B``.

    Raises:
        SpecError: an empty one.
    """
    found = tuple(part.strip() for part in text.split("|"))
    if not all(found):
        raise SpecError(f"features: '{text}' has an empty name; write for example taps=enc@8|enc@16")
    return found
