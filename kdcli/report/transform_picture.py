"""What a transformation network does to images, and to what its teacher sees in them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from kdcli.colour import colourise, legend, limits_of
from kdcli.report.picture import contact_sheet
from kdcli.types import DepthKind, Prediction

_FACTORS = (50, 20, 10, 5, 2, 1)


def before_and_after(path: Path, image: Tensor, moved: Tensor, depth: Prediction, moved_depth: Prediction) -> None:
    """Draw rows of images as PNG: as they came, transformed, the difference amplified, the teacher's depth of both.

    image, moved: N x 3 x H x W. depth, moved_depth: the teacher's predictions for them, in one range of colours. In the
    difference grey is no change, a brighter colour is more of it.
    """
    shown, changed = image.float().clamp(0, 1).cpu(), moved.float().clamp(0, 1).cpu()
    difference = (moved.float() - image.float()).cpu()
    factor = amplification(difference)
    disparity, linear = depth.kind.is_disparity, depth.kind is DepthKind.AFFINE_DEPTH
    maps = [said.depth.detach().float().cpu()[:, 0] for said in (depth, moved_depth)]
    known = [None if said.valid is None else said.valid.cpu()[:, 0] for said in (depth, moved_depth)]
    stacked = torch.cat(list(maps)).flatten(0, 1)
    valid = None if known[0] is None or known[1] is None else torch.cat([known[0], known[1]]).flatten(0, 1)
    limits = limits_of(stacked, valid, disparity=disparity, linear=linear)
    rows = [
        torch.stack([
            colourise(one, None if mask is None else mask[i], limits=limits, disparity=disparity, linear=linear)
            for i, one in enumerate(depths)
        ])
        for depths, mask in zip(maps, known, strict=True)
    ]
    contact_sheet(
        path,
        {
            "image": shown,
            "transformed": changed,
            f"difference x{factor}, grey where there is none": (0.5 + factor * difference).clamp(0, 1),
            "the teacher's depth of the image": rows[0],
            "the teacher's depth of the transformed image": rows[1],
        },
        foot=lambda width: legend(width, limits, disparity=disparity, linear=linear, unit=depth.kind.unit),
    )


def amplification(difference: Tensor) -> int:
    """Return the largest of 1, 2, 5, 10, 20 and 50 that brings all but the largest 2 % of the changes into +-0.5."""
    sizes = difference.abs().flatten()
    sizes = sizes[:: max(1, sizes.numel() // (1 << 18))]
    largest = float(torch.quantile(sizes, 0.98))
    return next((factor for factor in _FACTORS if factor * largest <= 0.5), 1)
