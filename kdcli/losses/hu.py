"""The composite loss of Hu et al., with which the authors of the data-free paper usually train depth networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses.base import DepthLoss, prepare
from kdcli.losses.pointwise import L1
from kdcli.losses.structure import Border, Gradient, Normals
from kdcli.maps import full_precision

if TYPE_CHECKING:
    from kdcli.protocols import StepContext


class Hu(DepthLoss):
    """Depth, gradients and normals of "Revisiting Single Image Depth Estimation" (Hu et al. 2019, train.py).

    Terms, each times its weight; e is the difference of depths, S raw Sobel filters, n = (-S_x d, -S_y d, 1):
    ``depth`` mean ln(|e| + alpha), ``gradient`` mean ln(|S_x e| + alpha) + mean ln(|S_y e| + alpha), ``normal``
    mean 1 - cos(n, n'). A term of weight 0 is left out.

    The logarithms are smallest at ln alpha; with ``zero_floor`` that constant is taken off, which changes no gradient.
    ``border=zero`` pads the Sobel filters with zeros, as the authors' code does; ``replicate`` does not let a constant
    offset leak into the border pixels.
    """

    name: ClassVar[str] = "hu"

    def __init__(
        self,
        *,
        depth: float = 1.0,
        gradient: float = 1.0,
        normal: float = 1.0,
        alpha: float = 0.5,
        zero_floor: bool = True,
        border: Border = "zero",
    ) -> None:
        weights = {"depth": depth, "gradient": gradient, "normal": normal}
        for name, weight in weights.items():
            if not 0 <= weight < math.inf:
                raise ConfigError(f"hu: {name}={weight} must be a number that is not negative")
        if not any(weights.values()):
            raise ConfigError("hu: depth=0, gradient=0 and normal=0 leave no term; give one of them a weight")
        if alpha <= 0:
            raise ConfigError(f"hu: alpha={alpha} must be above 0")
        parts: dict[str, DepthLoss] = {
            "depth": L1(form="hu", alpha=alpha, zero_floor=zero_floor),
            "gradient": Gradient(form="hu", alpha=alpha, zero_floor=zero_floor, border=border),
            "normal": Normals(border=border),
        }
        self.parts = {name: (weight, parts[name]) for name, weight in weights.items() if weight}
        self.value_at_equality = sum(weight * part.value_at_equality for weight, part in self.parts.values())

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the weighted terms by name; of several teachers, the means."""
        student = ctx.student.out.depth
        with full_precision(student.device):
            found = [self._weighted(*prepare(student, *ctx.target(each))) for each in ctx.teachers.values()]
        return {name: torch.stack([values[name] for values in found]).mean() for name in self.parts}

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the sum of the weighted terms."""
        return torch.stack(list(self._weighted(prediction, target, valid).values())).sum()

    def _weighted(self, prediction: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
        return {name: weight * part.value(prediction, target, valid) for name, (weight, part) in self.parts.items()}
