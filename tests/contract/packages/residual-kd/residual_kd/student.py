"""The composite: a base network and an assistant that corrects its logarithm of depth."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

import kdcli
from kdcli.errors import SpecError
from kdcli.protocols import API_VERSION
from kdcli.types import Prediction, Tap


class Residual(nn.Module):
    """``residual:[BASE|ASSISTANT]``: two students, of which the second one corrects the first one's depth."""

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, location: str, *, max_depth: float = 8.0) -> None:
        super().__init__()
        specs = location.removeprefix("[").removesuffix("]").split("|")
        if len(specs) != 2:
            raise SpecError(f"residual:{location} names {len(specs)} networks; write residual:[BASE|ASSISTANT]")
        base, assistant = (kdcli.build("student", _within(spec, max_depth)) for spec in specs)
        self.base, self.assistant = base, Assistant(assistant)
        self.depth_kind, self.depth_range = base.depth_kind, base.depth_range
        parts = [str(getattr(net, "architecture", spec)) for net, spec in zip((base, assistant), specs, strict=True)]
        self.architecture = f"residual:[{'|'.join(parts)}],max_depth={max_depth:g}"
        stride = next(iter(assistant.taps.values())).stride
        self.taps = {
            **{name: Tap(module=f"base.{tap.module}", stride=tap.stride, channels=tap.channels)
               for name, tap in base.taps.items()},
            "assistant": Tap(module="assistant", stride=stride, channels=1),
        }

    def forward(self, image: Tensor) -> Prediction:
        """Predict the sum of both, B x 1 x h x w of the base."""
        said = self.base(image)
        residual = self.assistant(image)
        if residual.shape[-2:] != said.depth.shape[-2:]:
            residual = functional.interpolate(residual, size=said.depth.shape[-2:], mode="bilinear")
        low, high = self.depth_range
        return Prediction(depth=(said.depth * residual.exp()).clamp(low, high), kind=self.depth_kind)


class Assistant(nn.Module):
    """A network whose depth is read as a correction: silent before it has learned anything."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.gain = network, nn.Parameter(torch.zeros(1))
        low, high = network.depth_range
        self.middle = math.log(low * high) / 2

    def forward(self, image: Tensor) -> Tensor:
        """Return what is to be added to the logarithm of depth, B x 1 x h x w."""
        correction: Tensor = self.gain * (self.network(image).depth.log() - self.middle)
        return correction


def _within(spec: str, max_depth: float) -> str:
    return spec if "max_depth=" in spec else f"{spec},max_depth={max_depth:g}"
