"""Words on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_SMALL, _SHARE = 9, 22
_PAD = 2
_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A text around a point. y, x: of the point as shares of height and width."""

    text: str
    y: float
    x: float


def with_words(picture_3HW: Tensor, words: Sequence[Word]) -> Tensor:
    """Return a picture with words on dark grounds, 3 x H x W in 0..1."""
    drawn, height, width = _image(picture_3HW), picture_3HW.shape[1], picture_3HW.shape[2]
    draw, font = ImageDraw.Draw(drawn), _font(height)
    for word in words:
        left, top, right, bottom = draw.textbbox((0, 0), word.text, font=font)
        x = min(max(word.x * width - (right - left) / 2, 1), max(1, width - right + left - 1))
        y = min(max(word.y * height - (bottom - top) / 2, 1), max(1, height - bottom + top - 1))
        draw.rectangle([x - 1, y - 1, x + right - left + 1, y + bottom - top + 1], fill=(0, 0, 0))
        draw.text((x - left, y - top), word.text, fill=(255, 255, 255), font=font)
    return _tensor(drawn)


def with_caption(picture_3HW: Tensor, lines: Sequence[str]) -> Tensor:
    """Return a picture with lines of text along its lower edge; a long one loses its beginning."""
    drawn, height, width = _image(picture_3HW), picture_3HW.shape[1], picture_3HW.shape[2]
    draw, font = ImageDraw.Draw(drawn), _font(height)
    texts = [_fitting(text.encode("ascii", "replace").decode(), draw, font, width - 2 * _PAD) for text in lines]
    high = round(draw.textbbox((0, 0), "Agpq", font=font)[3]) + 1
    wide = max((draw.textlength(text, font=font) for text in texts), default=0.0)
    top = height - high * len(texts) - _PAD
    draw.rectangle([0, top, wide + 2 * _PAD, height], fill=(0, 0, 0))
    for i, text in enumerate(texts):
        draw.text((_PAD, top + i * high), text, fill=(255, 255, 255), font=font)
    return _tensor(drawn)


def _fitting(text: str, draw: ImageDraw.ImageDraw, font: _Font, width: int) -> str:
    shown = text
    while draw.textlength(shown, font=font) > width and len(text) > 1:
        text = text[1:]
        shown = "..." + text
    return shown


def _font(height: int) -> _Font:
    return ImageFont.load_default(max(_SMALL, height // _SHARE))


def _image(picture_3HW: Tensor) -> Image.Image:
    pixels = (picture_3HW.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels.numpy()))


def _tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
