"""The student is to say of a changed image what the teacher says of the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.maps import full_precision, masked_mean
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs
from kdcli_trials.agreed import log


class Mirrored:
    """Mean |ln D_s' - ln D_t|, D_s' the student's answer to the mirrored image, mirrored back."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH)
    value_at_equality = float("nan")
    """A network need not say the same of a mirrored image."""
    invariances: frozenset[str] = frozenset()

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean."""
        return {"mirrored": apart(ctx, ctx.student.call(ctx.batch.image.flip(-1)).depth.flip(-1))}


class Varied:
    """Mean |ln D_s' - ln D_t|, D_s' the student's answer to the image in other colours.

    jitter: j, factors on brightness and contrast from 1 +- j, on each channel from 1 +- j/2.
    """

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH)
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, jitter: float = 0.4) -> None:
        """Take the strength.

        Raises:
            SpecError: outside 0..1.
        """
        if not 0 <= jitter < 1:
            raise SpecError(f"varied: jitter={jitter:g} must be within 0..1; for example 0.4")
        self.jitter = jitter

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean."""
        with torch.no_grad():
            image = recoloured(ctx.batch.image, self.jitter, ctx.generator)
        return {"varied": apart(ctx, ctx.student.call(image, statistics=True).depth)}


def apart(ctx: StepContext, depth: Tensor) -> Tensor:
    """Return how far depth is from the teacher's, mean |ln a - ln b| over valid pixels."""
    target, valid = ctx.target()
    with full_precision(target.device):
        return masked_mean((log(torch.where(valid, depth, 1.0)) - log(torch.where(valid, target, 1.0))).abs(), valid)


def recoloured(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Return images B x 3 x H x W with other contrast, brightness and channels, within 0..1."""
    def factor(channels: int, most: float) -> Tensor:
        shape = (len(image), channels, 1, 1)
        return 1 + most * (2 * torch.rand(shape, generator=generator, device=image.device, dtype=image.dtype) - 1)

    middle = image.mean((1, 2, 3), keepdim=True)
    changed = middle + (image - middle) * factor(1, strength)
    return (changed * factor(1, strength) * factor(3, strength / 2)).clamp(0, 1)
