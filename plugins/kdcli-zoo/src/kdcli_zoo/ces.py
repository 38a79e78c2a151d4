"""CES-KD (reconstruction): for each image one of several experts, by how hard the image is (arXiv 2209.07606)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

import kdcli
from kdcli.errors import SpecError
from kdcli.losses.base import DepthLoss
from kdcli.maps import full_precision, masked_mean, widen
from kdcli.protocols import API_VERSION, StepContext, View
from kdcli.types import DepthKind, Needs
from kdcli_zoo.curriculum import Table, opened, stratum

FLOOR = 1e-3
"""Metres below which depth counts as this before its logarithm is taken."""


class Ces:
    """A reconstruction of curriculum expert selection: easy images learn from small experts, hard ones from large.

    The stage's teachers are the experts, smallest first. Each image of a batch is shown to exactly one of them, so that
    many cost no more than one; the student learns that one's depth by the loss ``depth`` (term ``depth``) and by the
    loss ``shape`` (term ``gradient``).

    Difficulty (``by=truth``): the mean |ln d - ln d*| of the smallest expert, over an image's labelled pixels. With
    ``phase=difficulty`` this loss stands in an earlier stage, beside whatever is trained there, and shows every image
    to the first of its teachers; without that, an image's first showing tells. ``by=spread``: how far the experts'
    logarithms are apart, where there are no labels; it asks all of them, in that earlier stage alone.

    Strata of equally many images belong to the experts in order. At first there is one, from the share ``pace`` of the
    stage on all; an image whose own does not exist yet is taught by the last that does (``later=expert``) or not at
    all (``skip``).
    """

    api_version: ClassVar[int] = API_VERSION
    invariances: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        phase: Literal["student", "difficulty"] = "student",
        by: Literal["truth", "spread"] = "truth",
        pace: float = 0.5,
        later: Literal["expert", "skip"] = "expert",
        depth: str = "log-l1",
        shape: str = "gradient",
    ) -> None:
        """Take the options.

        Raises:
            SpecError: a value that makes no sense, or a loss that does not compare two maps.
        """
        if not 0 < pace <= 1:
            raise SpecError(f"ces: pace={pace:g} is no share of a stage; use above 0 to 1, for example 0.5")
        self.phase, self.by, self.pace, self.later = phase, by, pace, later
        self._losses = {"depth": _map_loss(depth), "gradient": _map_loss(shape)}
        self.value_at_equality = (
            math.nan if phase == "difficulty" else sum(loss.value_at_equality for loss in self._losses.values())
        )
        fewest = 2 if phase == "difficulty" and by == "spread" else 1
        self.needs = Needs(
            kinds=frozenset({DepthKind.METRIC}), teachers=(fewest, None), ground_truth=by == "truth",
        )
        self.exempt = {"terms": "it tells difficulties and teaches nothing"} if phase == "difficulty" else {}

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the losses against each image's own expert; with ``phase=difficulty`` the batch's mean difficulty."""
        with full_precision(ctx.batch.image.device):
            return self._measured(ctx) if self.phase == "difficulty" else self._taught(ctx)

    def _measured(self, ctx: StepContext) -> Mapping[str, Tensor]:
        views = list(ctx.teachers.values())
        found = self._against_truth(ctx, *ctx.target(views[0])) if self.by == "truth" else spread(ctx, views)
        Table(ctx.state, ctx.stage, ctx.epoch).note(ctx.batch.ids, found)
        return {"difficulty": masked_mean(found, torch.isfinite(found))}

    def _taught(self, ctx: StepContext) -> Mapping[str, Tensor]:
        views, ids = list(ctx.teachers.values()), ctx.batch.ids
        table = Table(ctx.state, ctx.stage, ctx.epoch)
        chosen = self._choice(table, ids, len(views), ctx)
        size = (int(ctx.student.out.depth.shape[-2]), int(ctx.student.out.depth.shape[-1]))
        target, valid = composed(views, chosen, ctx.target, size)
        if self.by == "truth":
            new = [row for row, name in enumerate(ids) if name not in table.known and chosen[row] == 0]
            if new:
                index = torch.tensor(new, device="cpu")
                table.note([ids[row] for row in new], self._against_truth(ctx, target, valid)[index])
        prediction = ctx.student.out.depth
        return {name: loss(prediction, target, valid) for name, loss in self._losses.items()}

    def _choice(self, table: Table, ids: Sequence[str], experts: int, ctx: StepContext) -> list[int | None]:
        """Return the expert of each image; None for one that does not count yet."""
        there = opened(ctx.progress, experts, self.pace)
        borders = table.borders(experts)
        own = [stratum(table.known[name], borders) if name in table.known else 0 for name in ids]
        ctx.note("strata", there)
        ctx.note("known", len(table.known))
        ctx.note("expert", sum(min(number, there - 1) for number in own) / max(len(own), 1))
        last = None if self.later == "skip" else there - 1
        return [number if number < there else last for number in own]

    def _against_truth(self, ctx: StepContext, depth: Tensor, known: Tensor) -> Tensor:
        """Return each image's mean |ln d - ln d*|, B; not-a-number where there are no labels."""
        truth, labelled = ctx.truth()
        valid = known & labelled
        error = (_log(torch.where(valid, depth, 1.0)) - _log(torch.where(valid, truth, 1.0))).abs()
        found = masked_mean(error, valid, dim=(1, 2, 3))
        return torch.where(valid.flatten(1).any(1), found, torch.nan)


def composed(
    views: Sequence[View], chosen: Sequence[int | None], target: Callable[[View], tuple[Tensor, Tensor]],
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Return each image's depth by the expert chosen for it, and where that is valid, B x 1 x h x w each.

    No expert looks at an image that is another's. target: reads a view's depth at h x w, ``ctx.target``.
    """
    depths: list[Tensor] = []
    masks: list[Tensor] = []
    rows: list[int] = []
    nobody = [row for row, number in enumerate(chosen) if number is None]
    for number, view in enumerate(views):
        mine = [row for row, own in enumerate(chosen) if own == number]
        if not mine:
            continue
        index = torch.tensor(mine, device="cpu")  # known to the host, which need not wait for it
        depth, valid = target(view if len(mine) == len(chosen) else view.subset(index))
        depths.append(depth)
        masks.append(valid)
        rows += mine
    if nobody:
        depths.append(views[0].batch.image.new_ones(len(nobody), 1, *size))
        masks.append(torch.zeros_like(depths[-1], dtype=torch.bool))
        rows += nobody
    back = torch.tensor(sorted(range(len(rows)), key=rows.__getitem__), device="cpu")
    return torch.cat(depths)[back], torch.cat(masks)[back]


def spread(ctx: StepContext, views: Sequence[View]) -> Tensor:
    """Return the mean over an image's pixels of the standard deviation of the experts' ln d, B."""
    pairs = [ctx.target(view) for view in views]
    valid = torch.stack([known for _, known in pairs]).all(0)
    logs = torch.stack([_log(torch.where(valid, depth, 1.0)) for depth, _ in pairs])
    found = masked_mean(logs.std(0, correction=0), valid, dim=(1, 2, 3))
    return torch.where(valid.flatten(1).any(1), found, torch.nan)


def _map_loss(spec: str) -> DepthLoss:
    loss = kdcli.build("loss", spec)
    if not isinstance(loss, DepthLoss):
        raise SpecError(f"ces: '{spec}' is no loss of two depth maps; use one such as log-l1, berhu or gradient")
    return loss


def _log(depth: Tensor) -> Tensor:
    return widen(depth).clamp_min(FLOOR).log()
