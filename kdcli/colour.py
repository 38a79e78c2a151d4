"""Depth as pictures: near is warm or bright in every map, whatever the numbers mean.

Values are spread in disparity between the 2nd and the 98th percentile, which is how people who look at depth maps
expect them, unless limits are given; one pair of limits makes several pictures comparable. ``spectral`` is the
default because it is what most depth tools show; it is not perceptually uniform, so use ``magma`` in papers.

The anchors are samples of well-known tables, evenly spaced and ordered from far to near: Spectral of ColorBrewer
(its own eleven colours), magma and inferno of matplotlib, turbo of Google. Interpolated between, they stay within
4/255 of the full tables.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.errors import ConfigError, nearest

_ANCHORS = {
    "spectral": "5e4fa2 3288bd 66c2a5 abdda4 e6f598 ffffbf fee08b fdae61 f46d43 d53e4f 9e0142",
    "magma": "000004 0a0822 1d1146 36106a 50127c 691c81 822681 9c2e7f b63779 cf4170 e65163 f5695c fb8761 fea571 fec387 "
    "fde0a2 fcfdbf",
    "inferno": "000004 050417 100a2e 1f0c47 300a5c 420a68 530e6d 63146e 731a6e 83206b 932667 a42c61 b33359 "
    "c23b50 d04545 dd513a e75f2d f06e21 f67f13 fa9207 fca50a fbb81d f8cc36 f4e055 f2f27c fcffa4",
    "turbo": "30123b 3b3081 434cb7 4668df 4682f8 3e9bfe 2db5f1 1dccd9 18dfbe 27eda5 46f884 6efe62 94fe46 "
    "b0f937 caed34 e1dd37 f3c93a fcb236 fe972c fa781e f05b12 e24209 cf2e04 b81d02 9c0f01 7a0403",
    "gray": "000000 ffffff",
}

MAPS = tuple(_ANCHORS)
"""Names of the maps."""

INVALID = 0.5
"""Grey level of pixels without a value."""

_SAMPLES = 1 << 18
"""Most values that percentiles are taken of; more would only cost time."""


def anchors() -> dict[str, list[str]]:
    """Return the maps by name: their anchors from far to near as RGB in hexadecimal, evenly spaced."""
    return {name: codes.split() for name, codes in _ANCHORS.items()}


def colourise(
    depth_HW: Tensor,
    valid_HW: Tensor | None = None,
    *,
    disparity: bool = False,
    linear: bool = False,
    limits: tuple[float, float] | None = None,
    name: str = "spectral",
) -> Tensor:
    """Paint a depth map: 3 x H x W in 0..1, near warm or bright, pixels without a value grey.

    Args:
        depth_HW: depth, or disparity when ``disparity`` says so. Depth that is not positive counts as not valid.
        valid_HW: bool, where there is a value; not-a-number and infinity never are one.
        disparity: larger numbers are nearer.
        linear: spread depth itself instead of its inverse; for depth with an unknown offset, which may be negative.
        limits: least and greatest value in the unit of the input, instead of percentiles.
        name: one of ``MAPS``.

    Raises:
        ConfigError: an unknown map, or limits that are no range.
    """
    known = _known(depth_HW, valid_HW, disparity=disparity, linear=linear)
    low, high = limits if limits is not None else limits_of(depth_HW, known, disparity=disparity, linear=linear)
    near = _nearness(depth_HW.float(), _checked(low, high, disparity=disparity, linear=linear), disparity, linear)
    painted_3HW = _look_up(near.where(known, near.new_zeros(())), name)
    return painted_3HW.where(known, painted_3HW.new_full((), INVALID))


def limits_of(
    depth_HW: Tensor, valid_HW: Tensor | None = None, *, disparity: bool = False, linear: bool = False
) -> tuple[float, float]:
    """Return the least and greatest value that ``colourise`` would spread, in the unit of the input.

    They are the 2nd and 98th percentile of the valid pixels; (1, 2) when there are none. Several maps that share
    limits can be compared: stack them first.
    """
    known = _known(depth_HW, valid_HW, disparity=disparity, linear=linear)
    values = depth_HW[known].float()
    if not values.numel():
        return 1.0, 2.0
    values = values[:: max(1, values.numel() // _SAMPLES)]
    low, high = torch.quantile(values, torch.tensor([0.02, 0.98], device=values.device)).tolist()
    if high - low <= 1e-6 * max(abs(low), abs(high)):  # a flat map: some range around it, so that it gets mid colours
        margin = 0.5 * max(abs(low), 1e-6)
        return low - margin, high + margin
    return low, high


def legend(
    width: int,
    limits: tuple[float, float],
    *,
    disparity: bool = False,
    linear: bool = False,
    unit: str = "",
    name: str = "spectral",
    height: int = 34,
) -> Tensor:
    """Draw a strip of the map's colours with numbers below, 3 x height x width in 0..1, near on the left.

    Args:
        limits: as given to ``colourise``.
        unit: written behind the numbers, such as ``m``; without one the ends are called near and far.

    Raises:
        ConfigError: as ``colourise``.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    low, high = _checked(*limits, disparity=disparity, linear=linear)
    bar = max(4, height // 2 - 3)
    ramp_HW = torch.linspace(1.0, 0.0, width).expand(bar, width)
    pixels = (_look_up(ramp_HW, name) * 255).round().to(torch.uint8).permute(1, 2, 0)
    picture = Image.new("RGB", (width, height), "white")
    picture.paste(Image.fromarray(np.ascontiguousarray(pixels.numpy())), (0, 0))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(max(8, height - bar - 7))
    marks = max(2, min(6, width // 70))
    for i in range(marks):
        near = 1.0 - i / (marks - 1)
        text = label_of(near, (low, high), disparity=disparity, linear=linear, unit=unit)
        if not unit:
            text = {1.0: f"near {text}", 0.0: f"{text} far"}.get(near, text)
        span = draw.textlength(text, font=font)
        x = (1.0 - near) * (width - 1)
        draw.line([(x, bar), (x, bar + 3)], fill="black")
        draw.text((min(max(x - span / 2, 1), width - span - 1), bar + 3), text, fill="black", font=font)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div(255)


def with_legend(picture_3HW: Tensor, legend_3HW: Tensor) -> Tensor:
    """Return a picture with a legend of the same width below it."""
    return torch.cat([picture_3HW.cpu(), legend_3HW], dim=1)


def _known(depth: Tensor, valid: Tensor | None, *, disparity: bool, linear: bool) -> Tensor:
    known = torch.isfinite(depth)
    if not disparity and not linear:
        known &= depth > 0
    return known if valid is None else known & valid.bool()


def check_limits(limits: tuple[float, float], *, disparity: bool = False, linear: bool = False) -> None:
    """Check limits of colours before the work.

    Raises:
        ConfigError: they are no range.
    """
    _checked(*limits, disparity=disparity, linear=linear)


def _checked(low: float, high: float, *, disparity: bool, linear: bool) -> tuple[float, float]:
    positive = disparity or linear or low > 0
    if not (math.isfinite(low) and math.isfinite(high) and low < high and positive):
        need = "" if disparity or linear else " and above 0"
        raise ConfigError(f"limits {low:g},{high:g} are no range; give LOW,HIGH with LOW below HIGH{need}")
    return low, high


def _nearness(depth: Tensor, limits: tuple[float, float], disparity: bool, linear: bool) -> Tensor:
    """Return 0 (far) to 1 (near); saturates outside the limits."""
    low, high = limits
    if disparity:
        near = (depth - low) / (high - low)
    elif linear:
        near = (high - depth) / (high - low)
    else:
        near = (1.0 / depth - 1.0 / high) / (1.0 / low - 1.0 / high)
    return near.nan_to_num(0.0).clamp(0.0, 1.0)


def label_of(
    near: float, limits: tuple[float, float], *, disparity: bool = False, linear: bool = False, unit: str = ""
) -> str:
    """Return the number at a place of a legend, from 0 (far) to 1 (near), with its unit."""
    low, high = limits
    if disparity:
        value = low + near * (high - low)
    elif linear:
        value = high - near * (high - low)
    else:
        value = 1.0 / (1.0 / high + near * (1.0 / low - 1.0 / high))
    return f"{value:.3g} {unit}".strip()


def _look_up(near_HW: Tensor, name: str) -> Tensor:
    """Return the colours of 0..1, 3 x H x W."""
    if name not in _ANCHORS:
        raise ConfigError(f"colour map '{name}' is unknown.{nearest(name, MAPS)} Maps: {', '.join(MAPS)}")
    codes = _ANCHORS[name].split()
    bytes_K3 = [list(bytes.fromhex(code)) for code in codes]
    table_K3 = torch.tensor(bytes_K3, device=near_HW.device) / 255
    position = near_HW * (len(codes) - 1)
    below = position.floor().clamp(0, len(codes) - 2)
    share = (position - below)[..., None]
    index = below.long()
    return torch.lerp(table_K3[index], table_K3[index + 1], share).permute(2, 0, 1)
