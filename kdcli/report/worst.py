"""The worst images of a model, each with what every model says of it, in ranges that can be compared by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.colour import colourise, legend, limits_of, with_legend
from kdcli.evals.baseline import NAME as CONSTANT
from kdcli.evals.examples import Example, examine
from kdcli.evals.reference import Reference
from kdcli.evals.results import Result
from kdcli.report.html import Block, Gallery, Picture, Section, Text

_LEAST = 1e-3
"""Smallest end of the range of errors."""
_WIDTH = 640
"""Pixels of a picture's width at most."""
_WIDE = 2.0
"""Width over height from which on fewer pictures stand side by side."""
_FEW = 0.25
"""Share of pixels with ground truth below which each is drawn larger."""


def worst_section(
    results: Sequence[Result], models: Mapping[str, nn.Module], source: Any, number: int, against: Reference | None
) -> Section:
    """Run the worst images of the first model by ``abs_rel`` once more and return them as pictures.

    Depth is drawn in one range for each image, errors in one range for all images and models.
    """
    first = results[0]
    modes = {result.model: result.protocol.alignment for result in results}
    asked = first.asked or first.size
    shown = examine(
        models, source, first.worst(number), first.protocol, align=modes, size=asked, against=against
    )
    top = _top(shown)
    unit = "m" if against is None else against.kind.unit
    blocks: list[Block] = [Text(
        text=f"Errors are |p - g| / g, black at 0 and brightest at {top:.3g} and beyond, in one range for all images "
        "and models; depth is in one range for each image. Where few pixels are known they are drawn larger.",
    )]
    blocks += [_gallery(example, results, unit, top) for example in shown]
    return Section(title=f"Worst {len(shown)} images of {first.model} by abs_rel", blocks=blocks)


def _top(shown: Sequence[Example]) -> float:
    """Return the end of the range of errors: that of the networks, where one number a whole image is not alone."""
    found = [
        _error(one, name)[one.measured(name)] for one in shown
        for name in ([name for name in one.predictions if name != CONSTANT] or one.predictions)
    ]  # fmt: skip
    return max(limits_of(torch.cat(found)[None], None, disparity=True)[1], _LEAST)


def _error(example: Example, name: str) -> Tensor:
    return (example.predictions[name] - example.depth).abs() / example.depth.clamp(min=1e-6)


def _gallery(example: Example, results: Sequence[Result], unit: str, top: float) -> Gallery:
    first, limits = results[0], limits_of(example.depth, example.valid)
    size, dots = _drawn_size(example), _sparse(example.valid)
    truth, known = _small(-_thick(-example.depth, example.valid, dots), size), _small(_dots(example.valid, dots), size)
    pictures = [
        Picture(image=_small(example.image, size), caption="image"),
        Picture(
            image=_painted(truth, known, limits, unit), caption=f"{first.against or 'ground truth'} that counts",
        ),
    ]
    for result in results:
        name = result.model
        values = dict(zip(result.ids, result.values[:, 0].tolist(), strict=True))
        told = f"abs_rel {values[example.id]:.4f}" if example.id in values else "skipped"
        depth, said = _small(example.predictions[name], size), example.said(name)
        spoken = None if said is None else _small(said, size)
        pictures.append(Picture(image=_painted(depth, spoken, limits, unit), caption=f"{name}: aligned depth"))
        counted = example.measured(name)
        error = _small(_thick(_error(example, name), counted, dots), size)
        shown = _small(_dots(counted, dots), size)
        picture = colourise(error, shown, disparity=True, limits=(0.0, top), name="magma")
        strip = legend(picture.shape[-1], (0.0, top), disparity=True, unit="rel", name="magma")
        pictures.append(Picture(image=with_legend(picture, strip), caption=f"{name}: error, {told}"))
    first_error = dict(zip(first.ids, first.values[:, 0].tolist(), strict=True))[example.id]
    return Gallery(
        pictures=pictures, caption=f"{example.id} (abs_rel {first_error:.4f})", wide=size[1] > _WIDE * size[0]
    )


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


def _painted(depth: Tensor, valid: Tensor | None, limits: tuple[float, float], unit: str) -> Tensor:
    picture = colourise(depth, valid, limits=limits)
    return with_legend(picture, legend(picture.shape[-1], limits, unit=unit))
