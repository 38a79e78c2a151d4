"""The worst images of a model, each with what every model says of it, in ranges that can be compared by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from kdcli.colour import limits_of
from kdcli.evals.baseline import NAME as CONSTANT
from kdcli.evals.examples import Example, examine
from kdcli.evals.reference import Reference
from kdcli.evals.results import Result
from kdcli.report.html import Block, Gallery, Section, Text
from kdcli.report.panels import depth_of, error_bar, error_of, image_of, relative_error, truth_of
from kdcli.report.scale_bar import scale_bar

_LEAST = 1e-3
"""Smallest end of the range of errors."""
_WIDE = 2.0
"""Width over height from which on fewer pictures stand side by side."""
_COLUMNS = 6
"""Most pictures side by side."""


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
    top, unit = _top(shown), "m" if against is None else against.kind.unit
    blocks: list[Block] = [
        Text(text=f"Errors are |p - g| / g, black at 0 and brightest at {top:.3g} and beyond, in one range for all "
             "images and models; depth is in one range for each image. Grey: no value. Where few pixels are known they "
             "are drawn larger."),
        error_bar(top),
    ]  # fmt: skip
    for example in shown:
        blocks += _gallery(example, results, unit, top)
    return Section(title=f"Worst {len(shown)} images of {first.model} by abs_rel", blocks=blocks)


def _top(shown: Sequence[Example]) -> float:
    """Return the end of the range of errors: that of the networks, where one number a whole image is not alone."""
    found = [
        relative_error(one, name)[one.measured(name)] for one in shown
        for name in ([name for name in one.predictions if name != CONSTANT] or one.predictions)
    ]  # fmt: skip
    return max(limits_of(torch.cat(found)[None], None, disparity=True)[1], _LEAST)


def _gallery(example: Example, results: Sequence[Result], unit: str, top: float) -> list[Block]:
    first, limits = results[0], limits_of(example.depth, example.valid)
    depths = [image_of(example)]
    errors = [truth_of(example, limits, f"{first.against or 'ground truth'} that counts")]
    for result in results:
        name = result.model
        values = dict(zip(result.ids, result.values[:, 0].tolist(), strict=True))
        told = f"abs_rel {values[example.id]:.4f}" if example.id in values else "skipped"
        depths.append(depth_of(example, name, limits, f"{name}: aligned depth"))
        errors.append(error_of(example, name, top, f"{name}: error, {told}"))
    first_error = dict(zip(first.ids, first.values[:, 0].tolist(), strict=True))[example.id]
    height, width = example.depth.shape
    few = len(depths) <= _COLUMNS and width <= _WIDE * height
    return [
        Gallery(
            pictures=[*depths, *errors], caption=f"{example.id} (abs_rel {first_error:.4f})",
            wide=width > _WIDE * height, columns=len(depths) if few else None,
        ),
        scale_bar(limits, unit=unit, about="depth"),
    ]  # fmt: skip
