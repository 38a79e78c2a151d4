"""The pictures of one image on a page: the image, its depth, what a model says of it, how far that is off.

Each is small enough for a page. A pixel without a value is grey in all of them: what has no ground truth, and what a
model says nothing of.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.colour import colourise
from kdcli.evals.examples import Example
from kdcli.report.html import Legend, Picture
from kdcli.report.scale_bar import scale_bar

_WIDTH = 640
"""Pixels of a picture's width at most."""
_FEW = 0.25
"""Share of pixels with ground truth below which each is drawn larger."""


def image_of(example: Example, caption: str = "image") -> Picture:
    """Return the image."""
    return Picture(image=_small(example.image, _drawn_size(example)), caption=caption)


def truth_of(example: Example, limits: tuple[float, float], caption: str) -> Picture:
    """Return the depth that it is measured against, where that counts."""
    size, dots = _drawn_size(example), _sparse(example.valid)
    depth = _small(-_thick(-example.depth, example.valid, dots), size)
    return Picture(image=colourise(depth, _small(_dots(example.valid, dots), size), limits=limits), caption=caption)


def depth_of(example: Example, name: str, limits: tuple[float, float], caption: str) -> Picture:
    """Return a model's depth, where it says something."""
    size, said = _drawn_size(example), example.said(name)
    spoken = None if said is None else _small(said, size)
    return Picture(image=colourise(_small(example.predictions[name], size), spoken, limits=limits), caption=caption)


def error_of(example: Example, name: str, top: float, caption: str) -> Picture:
    """Return a model's relative error, black at 0 and brightest at ``top``, where it is measured."""
    counted = example.measured(name)
    size, dots = _drawn_size(example), _sparse(example.valid)
    error = _small(_thick(relative_error(example, name), counted, dots), size)
    shown = _small(_dots(counted, dots), size)
    painted = colourise(error, shown, disparity=True, limits=(0.0, top), name="magma")
    return Picture(image=painted, caption=caption)


def error_bar(top: float) -> Legend:
    """Return what the colours of errors mean."""
    return scale_bar((0.0, top), disparity=True, name="magma", about="error, share of depth", rising=True)


def relative_error(example: Example, name: str) -> Tensor:
    """Return |p - g| / g, h x w."""
    return (example.predictions[name] - example.depth).abs() / example.depth.clamp(min=1e-6)


def _drawn_size(example: Example) -> tuple[int, int]:
    """Return height and width of the pictures of an image, small enough for a page and for its legend to be read."""
    height, width = example.depth.shape
    drawn = min(width, _WIDTH)
    return max(1, round(height * drawn / width)), drawn


def _sparse(valid: Tensor) -> int:
    """Return how wide a pixel of ground truth is drawn: points of a laser would not be seen."""
    return 5 if valid.float().mean() < _FEW else 1


def _dots(valid: Tensor, wide: int) -> Tensor:
    return valid if wide == 1 else functional.max_pool2d(valid.float()[None], wide, 1, wide // 2)[0] > 0


def _thick(values: Tensor, valid: Tensor, wide: int) -> Tensor:
    """Return a map in which the largest valid number about a pixel stands at it."""
    if wide == 1:
        return values
    known = torch.where(valid, values, -torch.inf)
    thick = functional.max_pool2d(known[None], wide, 1, wide // 2)[0]
    return torch.where(torch.isfinite(thick), thick, 0)


def _small(map_: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a map, or a picture of three colours, at the size that is drawn."""
    shape = map_.shape
    if tuple(shape[-2:]) == size:
        return map_
    flat = map_.reshape(1, -1, *shape[-2:]).float()
    mode = "area" if len(shape) == 3 else "nearest-exact"
    return functional.interpolate(flat, size, mode=mode).reshape(*shape[:-2], *size).to(map_.dtype)
