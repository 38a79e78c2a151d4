"""What the built-in losses share: one contract, masked means that never divide by zero, full precision.

A loss here is a formula on three maps of B x 1 x h x w: the student's depth, the target's depth (the same unit and
kind) and where the target is valid. ``DepthLoss`` does the rest: it fetches the maps from the context, leaves autocast,
and makes invalid pixels harmless before the formula sees them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.maps import full_precision, masked_mean, widen
from kdcli.protocols import API_VERSION
from kdcli.types import POSITIVE_DEPTH, Needs

if TYPE_CHECKING:
    from kdcli.protocols import StepContext

SEVERAL = (1, None)
"""How many teachers the built-in losses take: each of several is a target of its own."""


class DepthLoss(ABC):
    """Base of the built-in losses: a subclass gives ``name`` and ``value``.

    ``value`` sees maps in at least float32 with the same finite positive number (1) in both maps wherever the target
    is invalid, so that a difference or ratio there is nothing and carries no gradient.
    """

    api_version: ClassVar[int] = API_VERSION
    name: ClassVar[str]
    needs: Needs = Needs(kinds=POSITIVE_DEPTH, teachers=SEVERAL)
    value_at_equality: float = 0.0
    invariances: frozenset[str] = frozenset()

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the loss between the student's depth and the target's under the loss's name; of several, the mean."""
        values = [self(ctx.student.out.depth, *ctx.target(teacher)) for teacher in ctx.teachers.values()]
        return {self.name: torch.stack(values).mean() if len(values) > 1 else values[0]}

    def __call__(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the scalar loss of maps B x 1 x h x w; 0 with a zero gradient where nothing is valid.

        Raises:
            ConfigError: the maps differ in shape.
        """
        with full_precision(prediction.device):
            return self.value(*prepare(prediction, target, valid))

    @abstractmethod
    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the scalar; maps are prepared."""


class PointwiseLoss(DepthLoss):
    """A loss that is the mean of a per-pixel map over the valid pixels; usable as task loss through ``map``."""

    def map(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the per-pixel loss, B x 1 x h x w; 0 where the target is invalid.

        Raises:
            ConfigError: the maps differ in shape.
        """
        with full_precision(prediction.device):
            prediction, target, valid = prepare(prediction, target, valid)
            return torch.where(valid, self.pixel(prediction, target, valid), 0.0)

    @abstractmethod
    def pixel(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the map; inputs are prepared, invalid pixels are masked afterwards."""

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean of the map over the valid pixels of the batch."""
        return masked_mean(self.pixel(prediction, target, valid), valid)


def prepare(prediction: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the maps widened to at least float32, with 1 in both where the target is invalid or not finite.

    The substitution comes before any formula: a logarithm of an invalid zero would turn the masked gradient into
    not-a-number. A prediction that is not finite where the target is valid stays visible.

    Raises:
        ConfigError: the maps differ in shape.
    """
    if not prediction.shape == target.shape == valid.shape:
        shapes = ", ".join(str(tuple(t.shape)) for t in (prediction, target, valid))
        raise ConfigError(f"prediction, target and valid have shapes {shapes}; resize the target to the output")
    prediction, target = widen(prediction), widen(target.detach())
    valid = valid & torch.isfinite(target)
    return torch.where(valid, prediction, 1.0), torch.where(valid, target, 1.0).to(prediction.dtype), valid
