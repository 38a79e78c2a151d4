"""What the colours of maps mean: a bar with numbers, readable on light and on dark pages."""

from __future__ import annotations

import torch

from kdcli.colour import colourise, label_of
from kdcli.report.html import Legend

_STOPS, _MARKS = 24, 5


def scale_bar(
    limits: tuple[float, float], *, unit: str = "", disparity: bool = False, linear: bool = False,
    name: str = "spectral", about: str = "depth", rising: bool = False,
) -> Legend:
    """Return a bar of a map's colours with numbers below, near on the left; arguments as of ``kdcli.colour.legend``.

    about: what the numbers are. rising: the other way round, as numbers are that are no depth.
    """
    ramp_1N = torch.linspace(1, 0, _STOPS)[None]
    colours = colourise(ramp_1N, disparity=True, limits=(0.0, 1.0), name=name)[:, 0].T
    codes = ["#" + "".join(f"{round(255 * float(part)):02x}" for part in colour) for colour in colours]
    places = [1 - i / (_MARKS - 1) for i in range(_MARKS)]
    marks = [label_of(one, limits, disparity=disparity, linear=linear, unit=unit) for one in places]
    if rising:
        codes, marks = codes[::-1], marks[::-1]
    return Legend(colours=codes, marks=marks, about=about)
