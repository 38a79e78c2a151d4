"""Pictures of a run: held-out images with what each model says of them, and what the training images became."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from kdcli.colour import colourise, legend, limits_of, with_legend
from kdcli.files import atomic
from kdcli.report.encoding import png
from kdcli.report.panels import relative_error

if TYPE_CHECKING:
    from kdcli.evals.examples import Example

PANEL = 200
"""Width of one panel in pixels; small images are enlarged, large ones reduced."""
GAP, LABEL = 6, 18


def comparison(
    path: Path, examples: Sequence[Example], *, unit: str = "", colours: str = "spectral",
    truth: str = "ground truth", differences: bool = False,
) -> None:
    """Draw one row per image: image, ground truth, each model's depth. One range of colours per row's panels.

    truth: what the examples' depth is. differences: also draw each model's |depth - truth| / truth, dark where it is 0,
    all in one range that the title tells.
    """
    names = list(examples[0].predictions)
    rows = []
    known = torch.cat([example.depth[example.valid] for example in examples])
    limits = limits_of(known[None], None)
    top = _most(examples) if differences else 0.0
    for example in examples:
        panels = [example.image, colourise(example.depth, example.valid, limits=limits, name=colours)]
        panels += [
            colourise(example.predictions[name], example.said(name), limits=limits, name=colours) for name in names
        ]
        if differences:
            panels += [
                colourise(relative_error(example, name), example.measured(name), disparity=True, limits=(0.0, top),
                          name="magma")
                for name in names
            ]  # fmt: skip
        # The models may have seen the image at another aspect ratio than it has.
        shape = (int(example.depth.shape[-2]), int(example.depth.shape[-1]))
        rows.append([_panel(panel, shape) for panel in panels])
    titles = ["image", truth, *names]
    titles += [f"{name}: difference, 0..{top:.2g}" for name in names] if differences else []
    grid = _grid(titles, rows)
    write_picture(path, with_legend(grid, legend(grid.shape[-1], limits, unit=unit, name=colours)))


def _most(examples: Sequence[Example]) -> float:
    """Return the end of the range in which relative differences are drawn."""
    found = torch.cat([relative_error(one, name)[one.measured(name)] for one in examples for name in one.predictions])
    return max(limits_of(found[None], None, disparity=True)[1], 1e-3)


def contact_sheet(path: Path, rows: Mapping[str, Tensor], foot: Callable[[int], Tensor] | None = None) -> None:
    """Draw labelled rows of images, each N x 3 x H x W in 0..1.

    foot: makes what stands below, of a given width, 3 x h x width.
    """
    blocks = [_grid([name], [[_panel(image) for image in images]]) for name, images in rows.items()]
    if foot is not None:
        blocks.append(foot(blocks[0].shape[-1]))
    write_picture(path, torch.cat(blocks, dim=1))


def write_picture(path: Path, picture_3HW: Tensor) -> None:
    """Write a picture in 0..1 as an 8-bit PNG."""
    with atomic(path) as temporary:
        temporary.write_bytes(png(picture_3HW))


def _panel(image_3HW: Tensor, shape: tuple[int, int] | None = None) -> Tensor:
    """Return a picture at the width of a panel, in its own aspect ratio or in that of a shape (height, width)."""
    tall, wide = shape or (image_3HW.shape[-2], image_3HW.shape[-1])
    height = round(tall * PANEL / wide)
    mode = "nearest-exact" if image_3HW.shape[-1] < PANEL else "area"
    return F.interpolate(image_3HW[None].float().cpu(), size=(height, PANEL), mode=mode)[0]


def _grid(titles: Sequence[str], rows: Sequence[Sequence[Tensor]]) -> Tensor:
    columns = max(len(row) for row in rows)
    width = columns * (PANEL + GAP) + GAP
    parts = [_titles(titles, width)]
    for row in rows:
        height = row[0].shape[-2]
        strip = torch.ones(3, height + GAP, width)
        for i, panel in enumerate(row):
            left = GAP + i * (PANEL + GAP)
            strip[:, :height, left : left + PANEL] = panel
        parts.append(strip)
    return torch.cat(parts, dim=1)


def _titles(titles: Sequence[str], width: int) -> Tensor:
    import numpy as np
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (width, LABEL), "white")
    draw = ImageDraw.Draw(strip)
    for i, title in enumerate(titles):
        draw.text((GAP + i * (PANEL + GAP), 3), title, fill="black")
    return torch.from_numpy(np.asarray(strip).copy()).permute(2, 0, 1).float() / 255
