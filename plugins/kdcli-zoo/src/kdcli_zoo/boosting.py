"""Boosting light-weight depth: labelled and unlabelled images in one batch (arXiv 2105.06143)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

import kdcli
from kdcli.errors import SpecError
from kdcli.losses.base import DepthLoss
from kdcli.maps import full_precision, masked_mean, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import DepthKind, Needs


class Boosting:
    """On labelled images balance L(S, T) + (1 - balance) L(S, d*), on unlabelled ones L(S, T); a mean over images.

    L is the loss of the same authors' training code (JunjH/Revisiting_Single_Depth_Estimation): with e the difference
    of depths, mean ln(|e| + a) + mean ln(|S_x e| + a) + mean ln(|S_y e| + a) + mean 1 - cos(n, n'), S raw Sobel filters
    and n = (-S_x d, -S_y d, 1). It is kdcli's loss ``hu``. As published its smallest value is 3 ln a = -2.0794;
    ``zero_floor`` takes that off and changes no gradient. ``border=zero`` pads the Sobel filters with zeros, as
    published, and lets a constant offset leak into the border; ``replicate`` does not.

    The paper does not tell what the teacher counts for on labelled images (``balance``). Terms: ``teacher``, ``truth``.
    """

    api_version: ClassVar[int] = API_VERSION
    invariances: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        balance: float = 0.5,
        alpha: float = 0.5,
        zero_floor: bool = True,
        border: Literal["replicate", "zero"] = "replicate",
    ) -> None:
        """Take the options.

        Raises:
            SpecError: a value that makes no sense.
        """
        if not 0 <= balance <= 1:
            raise SpecError(f"boosting: balance={balance:g} is no share of the teacher; use 0 to 1, for example 0.5")
        if not 0 < alpha < math.inf:
            raise SpecError(f"boosting: alpha={alpha:g} must be above 0, in metres; the paper's is 0.5")
        loss = kdcli.build("loss", f"hu,alpha={alpha!r},zero_floor={str(zero_floor).lower()},border={border}")
        assert isinstance(loss, DepthLoss)
        self.loss, self.balance = loss, balance
        # Labels are not the teacher's depth, so that only the teacher's part has a value there.
        self.value_at_equality = loss.value_at_equality if balance == 1 else math.nan
        self.needs = Needs(kinds=frozenset({DepthKind.METRIC}))

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the teacher's part and that of the data's depth; together the loss."""
        target, known = ctx.target()
        truth, labels = ctx.truth()
        labelled = labels.flatten(1).any(1)
        with full_precision(target.device):
            self._compare(ctx, target, known, labelled)
            return boosted(self.loss, ctx.student.out.depth, (target, known), (truth, labels), self.balance)

    @staticmethod
    def _compare(ctx: StepContext, target: Tensor, known: Tensor, labelled: Tensor) -> None:
        """Note the teacher's typical depth on both: images of another range than the labelled ones teach little."""
        logs = widen(target).clamp_min(1e-3).log()
        for name, chosen in (("labelled", labelled), ("unlabelled", ~labelled)):
            ctx.note(f"depth.{name}", masked_mean(logs, known & chosen.view(-1, 1, 1, 1)).exp())
        ctx.note("labelled", labelled.to(logs.dtype).mean())


def boosted(
    loss: DepthLoss, prediction: Tensor, taught: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], balance: float
) -> dict[str, Tensor]:
    """Return the loss by parts; maps B x 1 x h x w in metres, each target with where it is valid.

    An image counts as labelled where it has any label. The means over labelled and over unlabelled images count by how
    many there are of each.
    """
    (target, known), (depth, labels) = taught, truth
    labelled = labels.flatten(1).any(1).view(-1, 1, 1, 1)
    share = labelled.to(widen(prediction).dtype).mean()
    parts = {"teacher": prediction.new_zeros(()), "truth": prediction.new_zeros(())}
    alone = loss(prediction, target, known & ~labelled)
    parts["teacher"] = (1 - share) * alone
    if balance > 0:
        parts["teacher"] = parts["teacher"] + share * balance * loss(prediction, target, known & labelled)
    if balance < 1:
        parts["truth"] = share * (1 - balance) * loss(prediction, depth.to(target.dtype), labels)
    return parts
