"""The worst images of a model, each with what every model says of it, in ranges that can be compared by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.colour import colourise, legend, limits_of, with_legend
from kdcli.evals.examples import Example, examine
from kdcli.evals.reference import Reference
from kdcli.evals.results import Result
from kdcli.report.html import Block, Gallery, Picture, Section, Text

_LEAST = 1e-3
"""Smallest end of the range of errors."""


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
        "and models; depth is in one range for each image.",
    )]
    blocks += [_gallery(example, results, unit, top) for example in shown]
    return Section(title=f"Worst {len(shown)} images of {first.model} by abs_rel", blocks=blocks)


def _top(shown: Sequence[Example]) -> float:
    found = [_error(one, name)[one.valid] for one in shown for name in one.predictions]
    return max(limits_of(torch.cat(found)[None], None, disparity=True)[1], _LEAST)


def _error(example: Example, name: str) -> Tensor:
    return (example.predictions[name] - example.depth).abs() / example.depth.clamp(min=1e-6)


def _gallery(example: Example, results: Sequence[Result], unit: str, top: float) -> Gallery:
    first, limits = results[0], limits_of(example.depth, example.valid)
    pictures = [
        Picture(image=example.image, caption="image"),
        Picture(
            image=_painted(example.depth, example.valid, limits, unit),
            caption=f"{first.against or 'ground truth'} that counts",
        ),
    ]
    for result in results:
        name = result.model
        values = dict(zip(result.ids, result.values[:, 0].tolist(), strict=True))
        error = f"abs_rel {values[example.id]:.4f}" if example.id in values else "skipped"
        depth = example.predictions[name]
        pictures.append(Picture(image=_painted(depth, None, limits, unit), caption=f"{name}: aligned depth"))
        picture = colourise(_error(example, name), example.valid, disparity=True, limits=(0.0, top), name="magma")
        strip = legend(picture.shape[-1], (0.0, top), disparity=True, unit="rel", name="magma")
        pictures.append(Picture(image=with_legend(picture, strip), caption=f"{name}: error, {error}"))
    first_error = dict(zip(first.ids, first.values[:, 0].tolist(), strict=True))[example.id]
    return Gallery(pictures=pictures, caption=f"{example.id} (abs_rel {first_error:.4f})")


def _painted(depth: Tensor, valid: Tensor | None, limits: tuple[float, float], unit: str) -> Tensor:
    picture = colourise(depth, valid, limits=limits)
    return with_legend(picture, legend(picture.shape[-1], limits, unit=unit))
