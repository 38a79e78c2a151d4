"""A teacher whose answer is averaged with its answer to the mirrored image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

import kdcli
from kdcli.protocols import plugin
from kdcli.types import Prediction
from kdcli_trials.agreed import log


class BothWays(nn.Module):
    """exp of the mean of ln D(x) and ln D(mirrored x) mirrored back; everything else is the teacher's."""

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher
        for name in ("depth_kind", "depth_range", "provenance", "made_for"):
            if hasattr(teacher, name):
                setattr(self, name, getattr(teacher, name))
        self.taps = {
            name: replace(tap, module=f"teacher.{tap.module}") for name, tap in getattr(teacher, "taps", {}).items()
        }

    def forward(self, image: Tensor) -> Prediction:
        """Return the averaged depth of images B x 3 x H x W."""
        one: Prediction = self.teacher(image)
        other: Any = self.teacher(image.flip(-1)).depth.flip(-1)
        return replace(one, depth=((log(one.depth) + log(other)) / 2).exp().to(one.depth.dtype))


@plugin
def both_ways(location: str) -> BothWays:
    """Return the teacher of a spec, ``both-ways:demo``, asked twice."""
    return BothWays(kdcli.build("teacher", location))
