"""MT-PKDOT: the best of several teachers hands over how it relates the tokens of a batch (arXiv 2408.09035).

Stage 1 aligns the teachers to the first, joint one; stage 2 chooses, batch by batch, the teacher that errs least, and
moves the student's matrix of similarities to that teacher's by optimal transport (``kdcli_zoo.shared.transport``):

L = L_task + 0.25 S(rows of S_student, rows of S_teacher), 0.8 and 0.2 in the paper.

An image is a sample in the paper, a cell of a grid over it here; its class is the mean logarithm of the cell's depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import full_precision, masked_mean, safe_sqrt, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, POSITIVE_DEPTH, Needs
from kdcli_zoo.mt_pkdot_teachers import Representations, cell_depth
from kdcli_zoo.shared.tokens import check_grid, tokens
from kdcli_zoo.shared.transport import check_transport, sinkhorn_divergence

_STEPS = "aligned"
"""Where ``ctx.state`` tells how often adapters and heads were taught."""


class MtPkdot(nn.Module):
    """Similarities of tokens from the best of several teachers; the first teacher is the joint one.

    ``phase=align``: adapters and heads of the teachers learn, with ``freeze=["student"]``. ``phase=transfer``: the
    student learns, and they stay as they are. The two go by one name, so that the second goes on with what the first
    came to; without the first they are what they began with, and the note ``aligned`` is 0. ``judge=head`` chooses by
    the heads' depth of cells, as published; ``judge=output`` by the teachers' own depth. Images without ground truth do
    not count in the choice; where none has any the first teacher is chosen. ``keep`` is the share of the columns that
    every row is compared in, those least alike for the teacher. ``centroid`` adds the distance of the mean rows, which
    the released file leaves out. ``blur``, ``scaling`` and ``steps`` belong to the transport.
    """

    api_version: ClassVar[int] = API_VERSION
    invariances: frozenset[str] = frozenset()

    def __init__(
        self, *, phase: Literal["align", "transfer"] = "transfer", student_tap: str = "pre_head",
        teacher_tap: str = "pre_head", grid: int = 3, keep: float = 30 / 128, judge: Literal["head", "output"] = "head",
        centroid: bool = False, blur: float = 0.1, scaling: float = 0.5, steps: int = 0,
    ) -> None:
        """Build it; adapters and heads are made in ``build``.

        Raises:
            SpecError: a number out of range.
        """
        super().__init__()
        check_grid(grid)
        check_transport(blur, scaling, steps)
        if not 0 < keep < 1:
            raise SpecError(f"keep={keep} is no share of the columns; use above 0 and below 1, for example 0.234375")
        self.phase, self.grid, self.keep, self.judge, self.centroid = phase, grid, keep, judge, centroid
        self.student_tap, self.teacher_tap = student_tap, teacher_tap
        self.blur, self.scaling, self.steps = blur, scaling, steps
        self.teachers: Representations | None = None
        aligns = phase == "align"
        self.value_at_equality = float("nan") if aligns else 0.0
        self.exempt = (
            {"terms": "the alignment teaches adapters and heads of the teachers, with the student frozen"}
            if aligns else {}
        )
        self.needs = Needs(
            kinds=POSITIVE_DEPTH if aligns or judge == "output" else ANY_KIND, teacher_taps=(teacher_tap,),
            student_taps=() if aligns else (student_tap,), teachers=(2 if aligns else 1, None), min_batch=2,
        )

    def build(self, ctx: StepContext) -> None:
        """Make an adapter for each teacher but the first, and a head for each."""
        channels = [view.feat(self.teacher_tap).shape[1] for view in ctx.teachers.values()]
        self.teachers = Representations(channels, ctx.student.model.depth_range)  # type: ignore[arg-type]
        self.teachers.requires_grad_(self.phase == "align")

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return ``align`` and ``heads``, or ``transport`` (and ``centroid``)."""
        with full_precision(ctx.batch.image.device):
            return self._align(ctx) if self.phase == "align" else self._transfer(ctx)

    def _align(self, ctx: StepContext) -> dict[str, Tensor]:
        """Return half of the sum of 1 - cos to the joint teacher, and half of what the heads get wrong.

        Cells without ground truth are taught by the joint teacher's depth.
        """
        ctx.state[_STEPS] = ctx.state.get(_STEPS, 0) + 1
        joint, *others = embedded = self._embedded(ctx)
        apart = [(1 - functional.cosine_similarity(one, joint, eps=1e-6)).mean() for one in others]
        truth, known = cell_depth(*ctx.truth(), self.grid)
        said, also = cell_depth(*ctx.target(next(iter(ctx.teachers.values()))), self.grid)
        wanted = torch.where(known, truth, said)
        first, *rest = [masked_mean((depth - wanted).abs(), known | also) for depth in self._heads(embedded)]
        return {
            "align": 0.5 * torch.stack(apart).sum(),
            "heads": 0.5 * (first + torch.stack(rest).mean()),
        }

    def _transfer(self, ctx: StepContext) -> dict[str, Tensor]:
        with torch.no_grad():
            embedded = self._embedded(ctx)
            chosen = best(*self._errors(ctx, embedded)) if len(embedded) > 1 else None
            theirs = embedded[0] if chosen is None else torch.stack(embedded).index_select(0, chosen.view(1))[0]
        if chosen is not None:
            ctx.note("teacher", chosen.to(theirs.dtype))
            ctx.note("aligned", ctx.state.get(_STEPS, 0))
        mine = tokens(ctx.student.feat(self.student_tap), self.grid)
        found = {
            "transport": transport(
                mine, theirs, kept_columns(len(mine), self.keep), blur=self.blur, scaling=self.scaling,
                steps=self.steps,
            )
        }
        return found | ({"centroid": centroid_distance(mine, theirs)} if self.centroid else {})

    def _embedded(self, ctx: StepContext) -> list[Tensor]:
        """Return the teachers' tokens in the space of the first, N x C each."""
        features = [tokens(view.feat(self.teacher_tap).detach(), self.grid) for view in ctx.teachers.values()]
        return self._made().adapted(features)

    def _errors(self, ctx: StepContext, embedded: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return each teacher's mean error in log depth against the ground truth, T, and whether there is any."""
        if self.judge == "output":
            depth, known = ctx.truth()
            errors = [_apart(*ctx.target(view), depth, known) for view in ctx.teachers.values()]
        else:
            depth, known = cell_depth(*ctx.truth(), self.grid)
            errors = [masked_mean((said - depth).abs(), known) for said in self._heads(embedded)]
        return torch.stack(errors), known.any()

    def _heads(self, embedded: list[Tensor]) -> list[Tensor]:
        return self._made().depths(embedded)

    def _made(self) -> Representations:
        assert self.teachers is not None, "build(ctx) comes before terms(ctx)"
        return self.teachers


def best(errors: Tensor, labelled: Tensor) -> Tensor:
    """Return which of T errors is the least, the first of equal ones; 0 where there is nothing to judge by."""
    return torch.where(labelled, torch.nan_to_num(errors, nan=torch.inf).argmin(), 0)


def kept_columns(count: int, share: float) -> int:
    """Return how many of N columns are kept: round(share N), at least one and fewer than all."""
    return max(1, min(count - 1, round(share * count)))


def similarities(vectors: Tensor) -> Tensor:
    """Return the N x N cosines of N x C vectors minus the smallest of them: 0 to 2, moved differently for each matrix.

    The gradient passes through the smallest one too.
    """
    found = cosines(vectors)
    return found - found.amin()


def cosines(vectors: Tensor) -> Tensor:
    """Return the N x N cosines of N x C vectors."""
    unit = functional.normalize(widen(vectors), eps=1e-4)
    return unit @ unit.T


def transport(
    student: Tensor, teacher: Tensor, columns: int, *, blur: float = 0.1, scaling: float = 0.5, steps: int = 0
) -> Tensor:
    """Return the divergence of the student's rows of similarities from the teacher's; N x C and N x D vectors.

    Of each row those columns count that are least alike for the teacher, in the order of its similarity: rows are then
    compared coordinate by coordinate, and another order of the images changes nothing.
    """
    theirs, mine = similarities(teacher.detach()), similarities(student)
    rows, index = theirs.topk(columns, dim=1, largest=False, sorted=True)
    return sinkhorn_divergence(mine.gather(1, index), rows, blur=blur, scaling=scaling, steps=steps)


def centroid_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the length of the difference of the mean rows of both full matrices of cosines, nothing taken off."""
    between = cosines(teacher.detach()).mean(dim=0) - cosines(student).mean(dim=0)
    return safe_sqrt(between.square().sum())


def _apart(said: Tensor, valid: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    both = valid & known
    return masked_mean((_log(said) - _log(truth)).abs(), both)


def _log(depth: Tensor) -> Tensor:
    return widen(depth).clamp_min(1e-6).log()
