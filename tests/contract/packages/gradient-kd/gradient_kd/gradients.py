"""The difference of the gradients of student and teacher with respect to the image, differentiated once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from kdcli.maps import safe_sqrt, widen
from kdcli.protocols import API_VERSION, StepContext, View
from kdcli.types import POSITIVE_DEPTH, Needs


class InputGradients:
    """Mean over images of the norm of the difference; of the mean logarithm of depth, so that no label is needed."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH, input_gradient="both", double_backward=True, precision="full")
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the difference."""
        image = ctx.batch.image.detach().requires_grad_()
        difference = _gradient(ctx.student, image, keep=True) - _gradient(ctx.teacher, image, keep=False)
        return {"difference": safe_sqrt(difference.flatten(1).square().sum(dim=1)).mean()}


def _gradient(view: View, image: Tensor, *, keep: bool) -> Tensor:
    total = widen(view.call(image).depth).clamp_min(1e-3).log().mean(dim=(1, 2, 3)).sum()
    (gradient,) = torch.autograd.grad(total, image, create_graph=keep)
    return gradient
