"""Comparative distillation: how images differ for the teacher is how they are to differ for the student.

Comparative Knowledge Distillation (arXiv 2311.02253, WACV 2025): L = MSE(delta_S, delta_T) + MSE(delta_S, delta_label)
with delta = mean over a group P minus mean over a group Q of images, made for few calls of the teacher. Its logits are
depth here: per pixel, pooled over a grid of cells, or inner features (the authors' white-box variant).

A common offset of all the student's images costs nothing, so an absolute loss has to stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import full_precision, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs
from kdcli_zoo.comparative_groups import drawn_loss, pair_loss
from kdcli_zoo.shared.tokens import check_grid, tokens

GROUPS = {"pair": (1, 1), "two-to-one": (2, 1)}
"""Images in P and in Q, as the authors draw them."""


class Comparative(nn.Module):
    """Differences between images: ``relational`` against the teacher's, ``label`` against the ground truth's.

    ``on=pooled`` compares means of log depth over ``grid`` x ``grid`` cells, ``depth`` every pixel, ``feature`` tokens
    of ``student_tap``, brought to the channels of ``teacher_tap`` by a linear layer of the loss. ``space=linear``
    compares metres. ``memory`` is how many earlier images, with what student and teacher said of them then, are
    compared with those of the batch. ``draw`` groups of the kind ``group`` are drawn in each step; 0 takes the mean
    over all pairs. ``labels=false`` leaves the label term out; it is 0 where there is no ground truth.
    """

    api_version: ClassVar[int] = API_VERSION
    invariances: frozenset[str] = frozenset()

    def __init__(
        self, *, on: Literal["depth", "pooled", "feature"] = "pooled", grid: int = 4,
        space: Literal["log", "linear"] = "log", labels: bool = True, memory: int = 0, draw: int = 0,
        group: Literal["pair", "two-to-one"] = "pair", student_tap: str = "pre_head", teacher_tap: str = "pre_head",
    ) -> None:
        """Build it.

        Raises:
            SpecError: a number out of range, or a memory of whole maps.
        """
        super().__init__()
        check_grid(grid)
        if not 0 <= memory <= 4096:
            raise SpecError(f"memory={memory} is no number of earlier images; use 0 to 4096")
        if memory and on == "depth":
            raise SpecError(f"memory={memory} would keep whole maps of earlier images; use on=pooled or memory=0")
        if not 0 <= draw <= 100_000:
            raise SpecError(f"draw={draw} is no number of groups; use 0 (all pairs) to 100000")
        self.on, self.grid, self.space, self.labels = on, grid, space, labels
        self.memory, self.draw, self.sizes = memory, draw, GROUPS[group]
        self.student_tap, self.teacher_tap = student_tap, teacher_tap
        self.projection: nn.Module = nn.Identity()
        features = on == "feature"
        self.value_at_equality = math.nan if features or labels else 0.0  # two that agree may both be wrong
        self.needs = Needs(
            kinds=POSITIVE_DEPTH, student_taps=(student_tap,) if features else (),
            teacher_taps=(teacher_tap,) if features else (), min_batch=sum(self.sizes) if draw else 2,
        )

    def build(self, ctx: StepContext) -> None:
        """Make the linear layer from the student's channels to the teacher's; offsets cancel in differences."""
        if self.on == "feature":
            mine, theirs = ctx.student.feat(self.student_tap), ctx.teacher.feat(self.teacher_tap)
            self.projection = nn.Linear(mine.shape[1], theirs.shape[1], bias=False)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return ``relational``, and ``label``."""
        with full_precision(ctx.batch.image.device):
            if self.on == "feature":
                found = {"relational": self._compared(ctx, "feature", *self._features(ctx))}
            else:
                found = {"relational": self._compared(ctx, "teacher", *self._depths(ctx, *ctx.target()))}
            if self.labels:
                found["label"] = self._compared(ctx, "label", *self._depths(ctx, *ctx.truth()))
        return found

    def _features(self, ctx: StepContext) -> tuple[Tensor, Tensor]:
        """Return how far the student's projected tokens are from the teacher's, B x (cells, channels), all known."""
        mine = self.projection(tokens(ctx.student.feat(self.student_tap), self.grid))
        theirs = tokens(ctx.teacher.feat(self.teacher_tap).detach(), self.grid)
        errors = (mine - theirs).reshape(len(ctx.batch), -1)
        return errors, torch.ones_like(errors, dtype=torch.bool)

    def _depths(self, ctx: StepContext, wanted: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far the student's depth is from the wanted one, B x pixels or B x cells, and where it is known."""
        said = widen(ctx.student.out.depth)
        errors = self._scaled(said) - self._scaled(torch.where(valid, wanted.to(said.dtype), 1.0))
        errors = torch.where(valid, errors, 0.0)
        if self.on == "depth":
            return errors.flatten(1), valid.flatten(1)
        share = functional.adaptive_avg_pool2d(valid.to(errors.dtype), self.grid).flatten(1)
        pooled = functional.adaptive_avg_pool2d(errors, self.grid).flatten(1)
        return pooled / share.clamp_min(1e-9), share > 0

    def _scaled(self, depth: Tensor) -> Tensor:
        return depth.clamp_min(1e-6).log() if self.space == "log" else depth

    def _compared(self, ctx: StepContext, name: str, errors: Tensor, known: Tensor) -> Tensor:
        """Return the loss of these errors, with those of earlier images, and remember them."""
        earlier, told = self._remembered(ctx, name, errors, known)
        if not self.draw:
            return pair_loss(errors, known, earlier, told)
        if earlier is not None and told is not None:
            errors, known = torch.cat([errors, earlier.to(errors.dtype)]), torch.cat([known, told])
        return drawn_loss(errors, known, self.sizes, self.draw, ctx.generator)

    def _remembered(
        self, ctx: StepContext, name: str, errors: Tensor, known: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return errors of earlier images and what is known of them, newest first, and keep those of the batch.

        Both of an image, the student's word and the teacher's, are of the time when it was shown.
        """
        if not self.memory:
            return None, None
        earlier, told = ctx.state.get(f"{name}.errors"), ctx.state.get(f"{name}.known")
        if earlier is not None and earlier.shape[1] != errors.shape[1]:
            earlier = told = None
        now, sound = errors.detach(), known & torch.isfinite(errors.detach())
        now = torch.where(sound, now, 0.0)
        kept = now if earlier is None else torch.cat([now, earlier.to(now.dtype)])
        marks = sound if told is None else torch.cat([sound, told])
        ctx.state[f"{name}.errors"], ctx.state[f"{name}.known"] = kept[: self.memory], marks[: self.memory]
        return earlier, told
