"""What the built-in losses share: one contract, masked means that never divide by zero, full precision.

A loss here is a formula on three maps of B x 1 x h x w: the student's depth, the target's depth (the same unit and
kind) and where the target is valid. ``DepthLoss`` does the rest: it fetches the maps from the context, leaves autocast,
and makes invalid pixels harmless before the formula sees them.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, Needs

if TYPE_CHECKING:
    from kdcli.protocols import StepContext

POSITIVE_DEPTH = frozenset({DepthKind.METRIC, DepthKind.SCALE_INVARIANT})
"""Kinds whose numbers are positive and whose zero means the camera: ratios and logarithms of them make sense."""

SEVERAL = (1, None)
"""How many teachers the built-in losses take: each of several is a target of its own."""

NO_INVARIANCE = frozenset({"none"})


class DepthLoss(ABC):
    """Base of the built-in losses: a subclass gives ``name`` and ``value``.

    ``value`` sees maps in at least float32 with the same finite positive number (1) in both maps wherever the target
    is invalid, so that a difference or ratio there is nothing and carries no gradient.
    """

    api_version: ClassVar[int] = API_VERSION
    name: ClassVar[str]
    needs: Needs = Needs(kinds=POSITIVE_DEPTH, teachers=SEVERAL)
    min_value: float = 0.0
    invariances: frozenset[str] = NO_INVARIANCE

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


def widen(values: Tensor) -> Tensor:
    """Return float32 for narrower floats; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast is off on the device."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def masked_mean(values: Tensor, valid: Tensor, dim: tuple[int, ...] | None = None) -> Tensor:
    """Return the mean over valid entries, over everything or over some dimensions; 0 where none is valid."""
    total = torch.where(valid, values, 0.0).sum(dim) if dim else torch.where(valid, values, 0.0).sum()
    count = valid.sum(dim) if dim else valid.sum()
    return total / count.clamp_min(1).to(values.dtype)


def safe_sqrt(values: Tensor, smallest: float = 1e-14) -> Tensor:
    """Return the square root, and 0 with a zero gradient below ``smallest``, where the true gradient is infinite."""
    positive = values > smallest
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)
