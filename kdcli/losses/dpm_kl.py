"""Kullback-Leibler divergence between a teacher's and a student's depth probability map, lean in memory.

The direct formula makes about ten volumes of B x K x h x w. But a teacher's map is zero outside a few bins around its
depth, and is known from that depth alone. So only those bins are ever touched: they are gathered from the student's
map, pixel block by pixel block, and the gradient is scattered into one volume in the backward pass, where the blocks
are computed once more. Nothing of the size of the map is kept in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kdcli.errors import ConfigError
from kdcli.losses.dpm import Dpm, Grid, weights

Form = Literal["released", "corrected"]

EPS = 1e-7
"""Inside the logarithm of the released form, twice."""
LEAST = 1e-37
"""Smallest student probability of the corrected form: float32's own limit, a difference of 85 between logits."""
CACHED_BLOCK = 2**17
"""Elements of a block on a CPU: its temporaries stay in the cache."""
DEVICE_BLOCK = 2**24


def check_form(loss: str, form: Form) -> None:
    """Check which form of a loss is meant.

    Raises:
        ConfigError: neither the released nor the corrected one.
    """
    if form not in ("released", "corrected"):
        raise ConfigError(f"{loss}: form={form} is unknown; use released or corrected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """How the teacher's map is made and compared. ``top`` rows of each image are left out."""

    grid: Grid
    sigma: float
    dpm: Dpm
    form: Form
    top: int = 0


def dpm_kl(probs: Tensor, depth: Tensor, centers: Tensor, how: Map, weight: Tensor | None = None) -> Tensor:
    """Return the weighted sum over pixels of KL(teacher || student), in nats.

    probs: B x K x h x w of the student, float32 or float64. depth: B x 1 x h x w of the teacher, metres. centers: K.
    weight: B x 1 x h x w, 1 everywhere where None; pixels of weight 0 may hold any depth.

    released: sum over bins with Q != 0 of P ln(P / (Q + 1e-7) + 1e-7), as ``l_dpm_loss.py`` has it. corrected: of
    P ln(P / Q), which also tells a student off that gives the teacher's bins nothing.
    """
    at = how.grid.held(depth.detach(), how.sigma, how.dpm).to(probs.dtype)
    known = torch.ones_like(at) if weight is None else weight.to(probs.dtype)
    centers = how.grid.coordinate(centers.detach()).to(probs.dtype)
    total: Tensor = _WindowedKl.apply(probs, at, known, centers, how)
    return total


class _WindowedKl(torch.autograd.Function):
    """Value by blocks; gradient by the same blocks, scattered into zeros."""

    @staticmethod
    def forward(ctx: Any, probs: Tensor, at: Tensor, weight: Tensor, centers: Tensor, how: Map) -> Tensor:
        ctx.save_for_backward(probs, at, weight, centers)
        ctx.how = how
        total = probs.new_zeros(())
        for block in _blocks(probs, at, weight, how):
            index, target, logs = block.window(centers, how)
            said = block.probs.gather(block.axis, index)
            if how.form == "released":
                part = torch.where(said != 0, target * (target / (said + EPS) + EPS).log(), 0.0)
            else:
                part = target * (logs - said.clamp_min(LEAST).log())
            total += (part.sum(block.axis) * block.weight).sum()
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        probs, at, weight, centers = ctx.saved_tensors
        how: Map = ctx.how
        result = torch.zeros_like(probs)
        for block, into in zip(_blocks(probs, at, weight, how), _blocks(result, at, weight, how), strict=True):
            index, target, _ = block.window(centers, how)
            said = block.probs.gather(block.axis, index)
            if how.form == "released":
                lifted = said + EPS
                slope = torch.where(said != 0, target.square() / (lifted * (target + EPS * lifted)), 0.0)
            else:
                slope = torch.where(said > LEAST, target / said.clamp_min(LEAST), 0.0)
            into.probs.scatter_(block.axis, index, slope * (block.weight * -grad).unsqueeze(block.axis))
        return result, None, None, None, None


@dataclass(frozen=True, slots=True)
class _Block:
    """Some pixels of some images: probs b x K x n (axis 1) or b x n x K (axis 2), at and weight b x n."""

    probs: Tensor
    at: Tensor
    weight: Tensor
    axis: int

    def window(self, centers: Tensor, how: Map) -> tuple[Tensor, Tensor, Tensor]:
        """Return which bins the teacher's map touches, its probabilities there and their logarithms."""
        grid, count = how.grid, how.grid.window(how.sigma, how.dpm)
        reach = grid.reach(how.sigma, how.dpm)
        start = ((self.at - reach - grid.first) / grid.step).floor()
        start = start.clamp(0, grid.count - count).long().unsqueeze(self.axis)
        steps = torch.arange(count, device=start.device)
        index = start + (steps.view(1, -1, 1) if self.axis == 1 else steps)
        distance = centers[index] - self.at.unsqueeze(self.axis)
        target, logs = weights(distance, reach, how.sigma, how.dpm, self.axis)
        return index, target, logs


def _blocks(probs: Tensor, at: Tensor, weight: Tensor, how: Map) -> Iterator[_Block]:
    """Cut B x K x h x w into blocks whose windows are small; views, in the order in which memory lies."""
    images, _, height, width = probs.shape
    last = probs.is_contiguous(memory_format=torch.channels_last) and not probs.is_contiguous()
    axis = 2 if last else 1
    flat = probs.permute(0, 2, 3, 1).flatten(1, 2) if last else probs.flatten(2)
    skip = how.top * width
    pixels = height * width - skip
    limit = CACHED_BLOCK if probs.device.type == "cpu" else DEVICE_BLOCK
    room = max(limit // how.grid.window(how.sigma, how.dpm), 1)
    several = max(room // max(pixels, 1), 1)
    for first in range(0, images, several):
        group = slice(first, first + several)
        for begin in range(skip, skip + pixels, room):
            end = min(begin + room, skip + pixels)
            part = flat[group, begin:end] if last else flat[group, :, begin:end]
            yield _Block(part, at[group].flatten(1)[:, begin:end], weight[group].flatten(1)[:, begin:end], axis)
