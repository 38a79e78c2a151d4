"""The figure of ``kdcli explain`` for a model without bins: maps above, the numbers at single pixels below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kdcli.colour import limits_of
from kdcli.files import atomic
from kdcli.predict.readings import Readings
from kdcli.report.beliefs import STUDENT, TEACHER, TRUTH, badge


def draw(path: Path, found: Readings, *, student: str, teacher: str | None = None) -> None:
    """Write the figure as a picture in the format of the path's ending; arguments as of ``kdcli.report.beliefs``."""
    from matplotlib.figure import Figure

    shown = [("depth", found.depth, "Spectral" if not found.kind.is_disparity else "Spectral_r")]
    if found.teacher_depth is not None:
        shown.append(("teacher", found.teacher_depth, shown[0][2]))
        difference = (found.depth - found.teacher_depth).abs() / found.teacher_depth.abs().clamp(min=1e-6)
        shown.append(("difference, share of the teacher's", difference, "magma"))
    height, width = found.depth.shape
    columns, tall = 1 + len(shown), 2.7 * height / width + 0.6
    figure = Figure(figsize=(2.75 * columns, tall + 0.3 * len(found.pixels) + 1.1), layout="constrained")
    grid = figure.add_gridspec(2, columns, height_ratios=[tall, 0.3 * len(found.pixels) + 0.6])
    maps = [figure.add_subplot(grid[0, i]) for i in range(columns)]
    photo = maps[0].imshow(found.image.permute(1, 2, 0).clamp(0, 1).numpy())
    figure.colorbar(photo, ax=maps[0], orientation="horizontal", pad=0.03).ax.set_visible(False)  # level with the maps
    maps[0].set_title("image", fontsize=9)
    unit = f", {found.kind.unit}" if found.kind.unit else ""
    low, high = limits_of(torch.stack([one for _, one, colours in shown if colours != "magma"]).flatten(0, 1),
                          linear=True)  # fmt: skip
    for axes, (title, values, colours) in zip(maps[1:], shown, strict=True):
        limits: dict[str, Any] = {} if colours == "magma" else {"vmin": low, "vmax": high}
        drawn = axes.imshow(values.numpy(), interpolation="nearest", cmap=colours, **limits)
        axes.set_title(title if colours == "magma" else title + unit, fontsize=9)
        figure.colorbar(drawn, ax=axes, orientation="horizontal", pad=0.03).ax.tick_params(labelsize=7)
    for axes in maps:
        axes.set(xticks=[], yticks=[])
        for number, pixel in enumerate(found.pixels, start=1):
            badge(axes, pixel.x, pixel.y, number)
    below = figure.add_subplot(grid[1, :])
    for said, colour, marker, label in (
        (found.depth, STUDENT, "o", student),
        (found.teacher_depth, TEACHER, "D", f"{teacher}{', fitted by scale and shift' if found.fitted else ''}"),
        (found.truth, TRUTH, "|", "ground truth"),
    ):
        at = [(found.at(said, pixel), row) for row, pixel in enumerate(found.pixels)]
        points = [(value, row) for value, row in at if value is not None]
        if points:
            below.plot(*zip(*points, strict=True), marker, color=colour, label=label, ms=7, mew=2)
    names = [f"{i}: {one.why} ({one.x}, {one.y})" for i, one in enumerate(found.pixels, start=1)]
    below.set_yticks(range(len(names)), names, fontsize=8)
    below.set_ylim(len(names) - 0.4, -0.6)
    below.set_xlabel(f"depth{unit}" if unit else str(found.kind).replace("_", " "), fontsize=8)
    below.tick_params(labelsize=8)
    below.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=160, metadata={"Software": None} if path.suffix.lower() == ".png" else None)
