"""Relations: distances between samples, and angles between three of them, are to be as in the teacher.

Park, Kim, Lu, Cho, "Relational knowledge distillation", arXiv 1904.05068; loss as ``RKDLoss`` of RepDistiller (commit
b84f547). One of the nine methods of arXiv 2007.01922; reconstruction: which nine those are is not stated in what could
be read of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import full_precision, safe_sqrt
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import ANY_KIND, Needs
from kdcli_zoo.shared.taps import paired
from kdcli_zoo.shared.tokens import check_grid, tokens

BLOCK = 2**20
"""Numbers in the largest volume of a block of angles: 4 MiB in float32, which a CPU's cache holds."""


class Relational:
    """Reconstruction: relational KD (arXiv 1904.05068), one of nine (2007.01922); 25 distance + 50 angle as published.

    distance: smooth L1 of the N x N distances between samples, each network's divided by its mean of those above 0;
    rotation, shift and scale of the features change nothing. angle: smooth L1 of the cosines of the angles at every
    sample between every two. A sample is a cell of a grid x grid raster over an image, N = B grid^2; student_taps,
    teacher_taps: ``A|B`` for several, which are summed.

    Angles are N^3: they are made in blocks of vertices, whose gradients are taken at once, so that memory does not grow
    with N^3. anchors: at how many vertices angles are taken, drawn anew in each step; 0 takes all.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset({"scale", "shift"})
    """Depth does not enter."""
    exempt: ClassVar[Mapping[str, str]] = {
        "duplicated batch": "a sample that is there twice adds distances and angles of 0 to the means, as published"
    }

    def __init__(
        self, *, student_taps: str = "pre_head", teacher_taps: str = "pre_head", grid: int = 4, anchors: int = 0,
        distance: float = 25.0, angle: float = 50.0,
    ) -> None:
        """Check the options.

        Raises:
            SpecError: the features cannot be paired, or a number that makes no sense.
        """
        self.student_taps, self.teacher_taps = paired(student_taps, teacher_taps)
        check_grid(grid)
        if anchors < 0:
            raise SpecError(f"anchors={anchors} is no number of vertices; use 0 for all, or for example 32")
        if not (0 <= distance < torch.inf and 0 <= angle < torch.inf and distance + angle > 0):
            raise SpecError(f"distance={distance}, angle={angle} are no weights; as published 25 and 50")
        self.grid, self.anchors, self.distance, self.angle = grid, anchors, distance, angle
        self.needs = Needs(
            kinds=ANY_KIND, student_taps=self.student_taps, teacher_taps=self.teacher_taps,
            min_batch=1 if grid > 1 else 3,
        )

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return both terms, each with its weight and summed over features."""
        with full_precision(ctx.batch.image.device):
            apart, turned = [], []
            for mine, theirs in zip(self.student_taps, self.teacher_taps, strict=True):
                student = tokens(ctx.student.feat(mine), self.grid)
                teacher = tokens(ctx.teacher.feat(theirs).detach(), self.grid)
                if self.distance:
                    apart.append(distances_apart(student, teacher))
                if self.angle:
                    turned.append(angles_apart(student, teacher, self._vertices(ctx, len(student))))
            found = {"distance": (self.distance, apart), "angle": (self.angle, turned)}
            return {name: weight * torch.stack(values).sum() for name, (weight, values) in found.items() if values}

    def _vertices(self, ctx: StepContext, count: int) -> Tensor | None:
        if not 0 < self.anchors < count:
            return None
        order = torch.randperm(count, generator=ctx.generator, device=ctx.generator.device)
        return order[: self.anchors].to(ctx.batch.image.device)


def distances_apart(student: Tensor, teacher: Tensor) -> Tensor:
    """Return smooth L1 between both N x N matrices of relative distances; samples in rows, N x C and N x D."""
    return functional.smooth_l1_loss(relative_distances(student), relative_distances(teacher))


def relative_distances(rows: Tensor) -> Tensor:
    """Return the distances between N rows over the mean of those above 0, N x N; 0 where all rows are the same."""
    # Not by products of rows: what those round away is as large as a small distance.
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    count = (apart > 0).sum().clamp_min(1)
    return apart / (apart.sum() / count).clamp_min(torch.finfo(apart.dtype).tiny)


def angles_apart(student: Tensor, teacher: Tensor, vertices: Tensor | None = None, block: int = BLOCK) -> Tensor:
    """Return smooth L1 between the cosines of both networks' angles, mean over vertices and N x N ends.

    Samples in rows, N x C and N x D. vertices: positions, all where None. block: numbers in the largest volume that is
    made at a time.
    """
    count = len(student)
    at = torch.arange(count, device=student.device) if vertices is None else vertices
    largest = count * max(count, student.shape[1], teacher.shape[1])
    size = max(1, block // largest)
    whole = _block(student, teacher, at) if len(at) <= size else _InBlocks.apply(student, teacher, at, size)
    total: Tensor = whole / (len(at) * count * count)
    return total


class _InBlocks(torch.autograd.Function):
    """The sum over blocks of vertices. Their gradients are taken one block after the other, while it is there."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, at: Tensor, size: int) -> Tensor:
        total, slope = student.new_zeros(()), torch.zeros_like(student)
        leaf = student.detach().requires_grad_(ctx.needs_input_grad[0])
        for begin in range(0, len(at), size):
            with torch.enable_grad():
                value = _block(leaf, teacher, at[begin : begin + size])
                if leaf.requires_grad:
                    slope += torch.autograd.grad(value, leaf)[0]
            total += value.detach()
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None, None


def _block(student: Tensor, teacher: Tensor, at: Tensor) -> Tensor:
    return functional.smooth_l1_loss(cosines(student, at), cosines(teacher, at), reduction="sum")


def cosines(rows: Tensor, at: Tensor) -> Tensor:
    """Return the cosines of the angles at A of N rows between every two, A x N x N; 0 where an end is the vertex."""
    ways = rows[None] - rows[at, None]
    length = safe_sqrt(ways.square().sum(2, keepdim=True))
    # A sample at the vertex has no direction: by its length of 0 its gradient would be without bounds.
    unit = torch.where(length > 0, ways / torch.where(length > 0, length, 1.0), 0.0)
    return unit @ unit.transpose(1, 2)
