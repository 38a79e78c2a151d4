"""The structure of one teacher at the scale of another: a sharp relative teacher and a metric one teach together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, SpecError
from kdcli.networks.read_out import read_out_of
from kdcli.protocols import API_VERSION
from kdcli.teachers.ensemble import ask, build_member, map_at, members_of, provenance_of, taps_of
from kdcli.teachers.robust import median_ratio, scale_and_shift
from kdcli.types import POSITIVE_DEPTH, DepthKind, MadeFor, Prediction, ReadOut

LOOKED_AT = 1 << 12
"""Pixels of an image, spread evenly, that a fit looks at."""

_FLOOR = 1e-3
"""Metres, the least depth that is divided by."""
_FARTHEST = 1e6


class Scaled(nn.Module):
    """Depth of A brought to the metres of B, image by image: ``"scaled:[A|B]"``, as in ``"scaled:[midas-small|bts]"``.

    A may be of any depth kind, B is metric. Numbers of unknown offset are fitted by scale and shift in A's own space
    (to B's inverse depth where A gives disparity), others by one factor, the median of the ratios; a quarter of an
    image's pixels may be wrong in either. The result is metric, at A's resolution, within B's range, and known where
    both teachers have an opinion. An image that A says nothing usable of (one number everywhere, the wrong way round,
    nothing finite) keeps B's own depth.

    The fit is taken as given by gradients: they reach the image through A's map.
    """

    api_version: ClassVar[int] = API_VERSION
    depth_kind = DepthKind.METRIC

    def __init__(self, location: str) -> None:
        """Build both teachers.

        Raises:
            SpecError: not two. ConfigError: B is not metric, or one of them answers from the data.
        """
        super().__init__()
        specs = members_of(location)
        if len(specs) != 2:
            raise SpecError(f"'scaled:{location}' names {len(specs)} teachers; it is two: 'scaled:[STRUCTURE|METRIC]'")
        self.members = nn.ModuleList(build_member(spec) for spec in specs)
        structure, metric = self.members
        kind = DepthKind(str(metric.depth_kind))
        if kind is not DepthKind.METRIC:
            raise ConfigError(
                f"'{specs[1]}' gives {kind}, no metres to bring '{specs[0]}' to; name a metric teacher second"
            )
        near, far = (float(end) for end in metric.depth_range)  # type: ignore[union-attr]
        self.depth_range = (near, far)
        self.differentiable = all(getattr(member, "differentiable", True) for member in self.members)
        self.read_out = ReadOut(
            flip=any(read_out_of(member).flip for member in self.members), resize=read_out_of(structure).resize
        )
        self.made_for = _made_for(structure, metric, (near, far))
        self.taps = taps_of(self.members)
        self.provenance = provenance_of("scaled", specs, self.members)
        self._ends = max(near, _FLOOR), min(far, _FARTHEST)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Prediction:
        """Predict metres at the resolution of A, B x 1 x h x w."""
        structure, metric = self.members
        said, other = ask(structure, image), ask(metric, image)
        size = int(said.depth.shape[-2]), int(said.depth.shape[-1])
        ours, known = map_at(structure, said, size)
        metres, told = map_at(metric, other, size)
        metres = metres.clamp(*self._ends)
        if said.kind in POSITIVE_DEPTH:
            known = known & (ours > 0)
            fitted, sound = _by_factor(torch.where(known, ours, 1.0), metres, known & told)
            depth = fitted.clamp(*self._ends)
        else:
            inverse = said.kind.is_disparity
            goal = metres.reciprocal() if inverse else metres
            fitted, sound = _by_line(ours, goal, known & told)
            near, far = self._ends
            depth = fitted.clamp(1 / far, 1 / near).reciprocal() if inverse else fitted.clamp(near, far)
        good = told & (known | ~sound)
        return Prediction(
            depth=torch.where(good, torch.where(sound, depth, metres), 1.0), kind=self.depth_kind, valid=good
        )


def _by_factor(ours: Tensor, metres: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        factor, sound = median_ratio(*(_some(one) for one in (ours, metres, known)))
    return ours * _broad(factor), _broad(sound)


def _by_line(ours: Tensor, goal: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        slope, offset, sound = scale_and_shift(*(_some(one) for one in (ours, goal, known)))
    return ours * _broad(slope) + _broad(offset), _broad(sound)


def _some(map_B1HW: Tensor) -> Tensor:
    """Return evenly spread pixels of each image, B x N."""
    height, width = map_B1HW.shape[-2:]
    step = max(1, math.ceil(math.sqrt(height * width / LOOKED_AT)))
    return map_B1HW[..., step // 2 :: step, step // 2 :: step].flatten(1)


def _broad(value_B1: Tensor) -> Tensor:
    return value_B1[:, :, None, None]


def _made_for(structure: nn.Module, metric: nn.Module, ends: tuple[float, float]) -> MadeFor | None:
    """Return the sizes of the one, and scenes, sources and range of the other."""
    sizes, scale = (getattr(member, "made_for", None) for member in (structure, metric))
    if sizes is None and scale is None:
        return None
    sizes, scale = sizes or MadeFor(), scale or MadeFor()
    near, far = scale.near or ends[0] or None, scale.far or (ends[1] if ends[1] < _FARTHEST else None)
    if sizes.eval_size is None and sizes.train_size is None:
        return replace(scale, near=near, far=far)
    return replace(sizes, domain=scale.domain, near=near, far=far, transfer=scale.transfer, test=scale.test)
