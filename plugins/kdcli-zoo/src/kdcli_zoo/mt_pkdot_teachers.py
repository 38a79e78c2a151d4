"""What MT-PKDOT makes for its teachers: adapters into the space of the joint one, and heads that tell depth from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import widen


class Representations(nn.Module):
    """Adapters without activation, C_m to C / 2 to C (512-256-512 in the paper), and linear heads from C to depth.

    The first teacher's own tokens are the joint representation. In the paper a transformer over all modalities makes
    it and is trained along; teachers are frozen here, and so is their joint one.
    """

    def __init__(self, channels: Sequence[int], depth_range: tuple[float, float]) -> None:
        """Build them for as many teachers as there are channels. depth_range: metres, of the student.

        Raises:
            SpecError: a range without logarithms.
        """
        super().__init__()
        near, far = depth_range
        if not 0 < near < far < math.inf:
            raise SpecError(f"mt-pkdot's heads need a depth range above 0, the student's is {near} to {far}")
        joint, *others = channels
        inner = max(joint // 2, 1)
        self.adapters = nn.ModuleList(
            nn.Sequential(nn.Linear(count, inner), nn.Linear(inner, joint)) for count in others
        )
        self.heads = nn.ModuleList(nn.Linear(joint, 1) for _ in channels)
        self.floor, self.span = math.log(near), math.log(far / near)

    def adapted(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return N x C_m tokens of each teacher as N x C in the space of the first."""
        joint, *others = features
        return [joint, *(adapter(one) for adapter, one in zip(self.adapters, others, strict=True))]

    def depths(self, embedded: Sequence[Tensor]) -> list[Tensor]:
        """Return the logarithm of depth in metres that each teacher's head tells of each token, N."""
        return [
            self.floor + self.span * torch.sigmoid(head(one).squeeze(1))
            for head, one in zip(self.heads, embedded, strict=True)
        ]


def cell_depth(depth: Tensor, valid: Tensor, grid: int) -> tuple[Tensor, Tensor]:
    """Return the mean logarithm of depth of every cell and where any of its pixels is valid, (B grid grid) each.

    depth, valid: B x 1 x h x w. Cells are those of ``kdcli_zoo.shared.tokens.tokens``; 0 where nothing is valid.
    """
    logs = torch.where(valid, widen(depth), 1.0).clamp_min(1e-6).log()
    share = functional.adaptive_avg_pool2d(valid.to(logs.dtype), grid)
    mean = functional.adaptive_avg_pool2d(logs, grid) / share.clamp_min(1e-9)
    return mean.flatten(), share.flatten() > 0
