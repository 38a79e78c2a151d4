"""Rows of pictures on a page: an image, its true depth, and what each model says of it, in one range of colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from kdcli.colour import limits_of
from kdcli.evals.examples import Example, examine
from kdcli.evals.reference import Reference
from kdcli.evals.results import Result
from kdcli.report.html import Block, Details, Gallery
from kdcli.report.panels import depth_of, image_of, truth_of
from kdcli.report.scale_bar import scale_bar

_MODELS = 4
"""Most models beside an image that is shown as typical."""


def picture_rows(
    examples: Sequence[Example], names: Mapping[str, str], truth: str, unit: str, *, image: str = "image"
) -> list[Block]:
    """Return a row of pictures an image, the first of them at once, the others folded; one range of colours for all.

    names: of models, by their names in the examples. truth, image: what stands below their depth and themselves.
    """
    if not examples:
        return []
    limits = limits_of(torch.cat([one.depth[one.valid] for one in examples])[None], None)
    models = [model for model in names if model in examples[0].predictions]
    rows = [
        Gallery(
            pictures=[
                image_of(one, image), truth_of(one, limits, truth),
                *(depth_of(one, model, limits, names[model]) for model in models),
            ],
            columns=2 + len(models),
        )
        for one in examples
    ]  # fmt: skip
    bar = scale_bar(limits, unit=unit, about="depth; grey: none")
    more = [Details(summary=f"{len(rows) - 1} more held-out images", blocks=rows[1:])] if len(rows) > 1 else []
    return [rows[0], bar, *more]


def typical_row(
    results: Sequence[Result], models: Mapping[str, nn.Module], source: Any, against: Reference | None
) -> list[Block]:
    """Run the image with the median ``abs_rel`` of the first model once more, and return it with what models say."""
    first, shown = results[0], [result.model for result in results[:_MODELS]]
    modes = {result.model: result.protocol.alignment for result in results}
    index = first.worst(first.n)[first.n // 2]
    found = examine(
        {name: models[name] for name in shown}, source, [index], first.protocol, align=modes,
        size=first.asked or first.size, against=against,
    )  # fmt: skip
    unit = "m" if against is None else against.kind.unit
    names, truth = {name: name for name in shown}, first.against or "ground truth"
    return picture_rows(found, names, truth, unit, image=f"image, typical of {first.model}")
