"""Pictures side by side under their names, all of one size, as one frame of a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

LABEL, LEGEND, GAP = 24, 34, 8
"""Rows of a name and of a legend, and pixels between two panels."""
MOST = (2160, 3840)
"""Height and width that a film of panels does not exceed: every player decodes it."""
LEAST = 192
"""Columns of a panel, so that its name and its numbers can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How panels stand: beside one another, or below where they are twice as wide as high. size: of a picture."""

    size: tuple[int, int]
    stacked: bool

    @classmethod
    def of(cls, size: tuple[int, int], count: int) -> Layout:
        """Return the layout for pictures of a height and width; they are made smaller, or larger, where need be."""
        height, width = size
        stacked = width > 2 * height
        down, across = (count, 1) if stacked else (1, count)
        room = (MOST[0] / down - LABEL - LEGEND - GAP, MOST[1] / across - GAP)
        factor = min(1.0, room[0] / height, room[1] / width)
        factor = max(factor, LEAST / width) if width < LEAST else factor
        return cls(size=(max(1, round(height * factor)), max(1, round(width * factor))), stacked=stacked)

    def join(self, panels: Sequence[tuple[str, Tensor, Tensor | None]]) -> Tensor:
        """Return one picture of several: names, pictures 3 x H x W in 0..1, and their legends or None."""
        drawn = [self._panel(*panel) for panel in panels]
        along = -2 if self.stacked else -1
        gap = drawn[0].new_ones((3, GAP, drawn[0].shape[-1]) if self.stacked else (3, drawn[0].shape[-2], GAP))
        return torch.cat([part for one in drawn for part in (gap, one)][1:], dim=along)

    def _panel(self, name: str, picture: Tensor, legend: Tensor | None) -> Tensor:
        width = self.size[1]
        if tuple(picture.shape[-2:]) != self.size:
            how = {"mode": "bilinear", "align_corners": False, "antialias": True}
            picture = functional.interpolate(picture[None], self.size, **how)[0].clamp(0, 1)  # type: ignore[arg-type]
        if legend is None:
            legend = picture.new_ones(3, LEGEND, width)
        return torch.cat([_label(name, width), picture, legend], dim=-2)


@lru_cache(maxsize=64)
def _label(name: str, width: int) -> Tensor:
    """Return a name in the middle of a white strip; of one that is too long the end, which tells most, is kept."""
    strip = Image.new("RGB", (width, LABEL), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(14)
    text = name
    while text and draw.textlength(text if text == name else f"...{text}", font=font) > width - 8:
        text = text[1:]
    text = text if text == name else f"...{text}"
    draw.text(((width - draw.textlength(text, font=font)) / 2, 3), text, fill="black", font=font)
    return torch.from_numpy(np.array(strip)).permute(2, 0, 1).float().div(255)
