"""KDIGA (Shao et al., arXiv 2110.12072): the student's loss is to react to the image as the teacher's does.

A student that only copies a teacher's depth loses the teacher's robustness to small changes of the image. Here the
gradients of both losses with respect to the image are aligned, so that the student's gradient is differentiated once
more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.losses.base import prepare
from kdcli.maps import at_size, widen
from kdcli.protocols import API_VERSION
from kdcli.types import POSITIVE_DEPTH, DepthKind, Needs, Prediction, ReadOut

if TYPE_CHECKING:
    from kdcli.protocols import StepContext, View

Form = Literal["log-square", "log-l1", "task", "vjp"]
Norm = Literal["image", "batch"]

FLOOR = 1e-3
"""Least depth in metres before its logarithm is taken."""


class Kdiga:
    """The distance of student's and teacher's input gradients.

    ||grad_x L(S(x), d*) - grad_x L(T(x), d*)||_2 of each image, mean over images. L is summed over pixels, so that
    neither the number of images nor its own normaliser decides how large the term is. ``form`` is what stands in for
    the cross-entropy: ``log-square`` half the squared difference of log depth to the ground truth, whose gradient is
    smooth as the cross-entropy's; ``log-l1`` its absolute value, whose gradient jumps where a pixel's error changes
    sign; ``task`` the stage's own ``task_loss``. ``vjp`` is a variant for images without depth, not the paper's: the
    gradient of the sum of log depth, a vector-Jacobian product with a vector of ones.

    ``norm=batch`` is what the authors' code has (RulinShao/AdversariallyRobustDistillation, ``main.py``): one norm over
    the whole batch of the gradient of the batch's mean, over the number of images again. ``noise`` shows both networks
    the image with so much uniform noise, either way, the authors' iterative variants (8/255).

    The gradient is that of the raw image: normalisation and resizing of either network lie within it. The student is
    asked once more for this and leaves its running statistics alone; in training its batch norms mix the images of a
    batch in the gradient, as in the authors' code.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, form: Form = "log-square", norm: Norm = "image", noise: float = 0.0) -> None:
        """Choose the loss whose gradient is taken.

        Raises:
            SpecError: a form, norm or noise that there is not.
        """
        if form not in ("log-square", "log-l1", "task", "vjp"):
            raise SpecError(f"kdiga: form={form} is unknown; use log-square, log-l1, task or vjp")
        if norm not in ("image", "batch"):
            raise SpecError(f"kdiga: norm={norm} is unknown; use image or batch")
        if not 0 <= noise <= 1:
            raise SpecError(f"kdiga: noise={noise} is not within 0 to 1, the range of colours; for example 0.03")
        self.form, self.norm, self.noise = form, norm, noise
        self.exempt: dict[str, str] = {}
        if form in ("log-l1", "task"):
            jumps = "the gradient of an absolute error jumps where the error of a pixel changes sign"
            self.exempt["finite differences"] = jumps
        if norm == "batch":
            self.exempt["duplicated batch"] = "one norm over the batch, over the square of its size, as released"
        self.needs = Needs(
            kinds=POSITIVE_DEPTH if form == "vjp" else frozenset({DepthKind.METRIC}), ground_truth=form != "vjp",
            task_map=form == "task", input_gradient="both", double_backward=True, precision="full",
        )

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the distance; 0 in a batch without labels, which no loss is known of."""
        image = widen(ctx.batch.image).detach()
        if self.noise:
            drawn = torch.rand(image.shape, generator=ctx.generator, device=image.device, dtype=image.dtype)
            image = (image + self.noise * (2 * drawn - 1)).clamp(0, 1)
        with torch.enable_grad():
            image = image.clone().requires_grad_()
            theirs = input_gradient(self._total(ctx, ctx.teacher, image), image)
            mine = input_gradient(self._total(ctx, ctx.student, image), image, keep=True)
            return {"kdiga": gradient_distance(mine, theirs, self.norm)}

    def _total(self, ctx: StepContext, view: View, image: Tensor) -> Tensor:
        """Return the loss of one network, summed over pixels and images."""
        target, counted = ctx.truth()
        size = (int(target.shape[-2]), int(target.shape[-1]))
        said = _read_out(view, view.call(image))
        depth, known = at_size(said, size)
        if self.form == "vjp":
            return torch.where(known, depth, 1.0).clamp_min(FLOOR).log().sum()
        if self.form == "task":
            errors, counted = ctx.task_map(Prediction(depth=depth, kind=said.kind))
            return torch.where(counted & known, errors, 0.0).sum()
        depth, target, _ = prepare(depth, target, counted & known)
        gap = depth.clamp_min(FLOOR).log() - target.clamp_min(FLOOR).log()
        return gap.abs().sum() if self.form == "log-l1" else 0.5 * gap.square().sum()


def input_gradient(total: Tensor, image: Tensor, *, keep: bool = False) -> Tensor:
    """Return the gradient of a scalar with respect to an image of any shape; with its own graph where it is kept."""
    (gradient,) = torch.autograd.grad(total, image, create_graph=keep)
    return gradient


def gradient_distance(mine: Tensor, theirs: Tensor, norm: Norm = "image") -> Tensor:
    """Return the distance of two gradients of losses that are summed over a batch, B x ... each.

    image: mean over images of the norm of each image's difference; the same image gives the same value in a batch of
    any size. batch: as released, the norm over the batch of the gradients of batch means, over B. The gradient of
    either is 0, not NaN, where the two are equal.
    """
    difference = mine - theirs
    rows = difference.flatten(0 if norm == "batch" else 1)
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=-1)
    return lengths / len(difference) ** 2 if norm == "batch" else lengths.mean()


def _read_out(view: View, said: Prediction) -> Prediction:
    """Return a prediction as its authors read it out, for the cameras of the batch; the graph stays."""
    read, cameras = getattr(view.model, "read_out", None), view.batch.intrinsics
    if not isinstance(read, ReadOut):
        return said
    depth = widen(said.depth)
    if read.focal is not None and cameras is not None:
        depth = depth * (cameras[:, 0].to(depth) / read.focal).view(-1, 1, 1, 1)
    return replace(said, depth=depth if read.clip is None else depth.clamp(*read.clip))
