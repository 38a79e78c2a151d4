"""From what a network says to depth that can be compared: alignment in the space that fits the depth kind.

A prediction that is only known up to a factor (or a factor and an offset) has to be fitted to the ground truth before
any metric means something. The fit is made per image, over the counted pixels, in the network's own output space:
depth for depth networks, inverse depth for disparity networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.errors import ConfigError, nearest
from kdcli.evals.protocol import Alignment
from kdcli.maps import masked_median
from kdcli.types import DepthKind

FLOOR = 1e-6
"""Smallest prediction, in metres or inverse depth, before it is inverted, scaled or logged."""

AUTOMATIC: dict[DepthKind, Alignment] = {
    DepthKind.METRIC: "none",
    DepthKind.SCALE_INVARIANT: "median",
    DepthKind.AFFINE_DEPTH: "scale-shift",
    DepthKind.AFFINE_DISPARITY: "scale-shift",
}
"""What a depth kind needs at least."""

UNKNOWNS: dict[Alignment, int] = {"none": 0, "median": 1, "scale-shift": 2}
"""Numbers that an alignment fits to each image; with no more pixels than that it meets them all, whatever is there."""

MODES = ("auto", "none", "median", "scale-shift")


def resolve(asked: str | None, kind: DepthKind, protocol: Alignment = "none") -> Alignment:
    """Return the alignment for a model: the one asked for, else the protocol's, else what its depth kind needs.

    Raises:
        ConfigError: an unknown mode, or ``none`` for numbers that are no metres.
    """
    if asked is not None and asked not in MODES:
        raise ConfigError(f"alignment '{asked}' is unknown.{nearest(asked, MODES)} Known: {', '.join(MODES)}")
    if asked in (None, "auto"):
        return protocol if protocol != "none" else AUTOMATIC[kind]
    if asked == "none" and kind is not DepthKind.METRIC:
        raise ConfigError(
            f"alignment 'none' does not fit a model of depth kind {kind}, whose numbers are no metres; "
            f"use --align {AUTOMATIC[kind]}"
        )
    return "median" if asked == "median" else "scale-shift" if asked == "scale-shift" else "none"


def align(prediction_B1HW: Tensor, kind: DepthKind, target_B1HW: Tensor, valid_B1HW: Tensor, mode: Alignment) -> Tensor:
    """Return the prediction as depth in the units of the target, B x 1 x H x W, at least ``FLOOR``.

    ``median``: depth (inverted first for disparity) times median(target) / median(prediction). ``scale-shift``: the
    least-squares factor and offset in depth, or in inverse depth for disparity, which is inverted afterwards.

    Raises:
        ConfigError: ``none`` for a kind other than metric.
    """
    mode = resolve(mode, kind)
    if mode == "scale-shift":
        goal = target_B1HW.clamp(min=FLOOR).reciprocal() if kind.is_disparity else target_B1HW
        scale, shift = scale_and_shift(prediction_B1HW, goal, valid_B1HW)
        fitted = (prediction_B1HW * scale + shift).clamp(min=FLOOR)
        return fitted.reciprocal() if kind.is_disparity else fitted
    depth = prediction_B1HW.clamp(min=FLOOR)
    if kind.is_disparity:
        depth = depth.reciprocal()
    if mode == "median":
        depth = depth * _median_ratio(depth, target_B1HW, valid_B1HW)
    return depth


def depth_fit(
    prediction_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor, mode: Alignment
) -> tuple[Tensor, Tensor]:
    """Return the factor and offset, B x 1 x 1 x 1 each, by which ``align`` fits depth (not disparity) in a mode.

    What is told beside the depth, deviations and intervals, is brought to metres with them.
    """
    if mode == "scale-shift":
        return scale_and_shift(prediction_B1HW, target_B1HW, valid_B1HW)
    one = prediction_B1HW.new_ones(len(prediction_B1HW), 1, 1, 1)
    if mode == "median":
        one = _median_ratio(prediction_B1HW.clamp(min=FLOOR), target_B1HW, valid_B1HW)
    return one, torch.zeros_like(one)


def scale_and_shift(prediction_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factor and offset, B x 1 x 1 x 1 each, that bring predictions nearest to targets in least squares.

    The closed form about the means, in float64. A prediction that is constant over the counted pixels gets factor 0.
    """
    valid = valid_B1HW.flatten(1)
    p = torch.where(valid, prediction_B1HW.flatten(1), 0).double()
    t = torch.where(valid, target_B1HW.flatten(1), 0).double()
    count = valid.sum(1, keepdim=True).double()
    mean_p, mean_t = p.sum(1, keepdim=True) / count, t.sum(1, keepdim=True) / count
    centred = torch.where(valid, p - mean_p, 0)
    variance = centred.square().sum(1, keepdim=True)
    covariance = (centred * (t - mean_t)).sum(1, keepdim=True)
    # Below float32 resolution the spread is rounding, and a fit to it would be noise.
    flat = variance <= count * (1e-7 * mean_p).square()
    scale = torch.where(flat, 0, covariance / torch.where(flat, 1, variance))
    shift = mean_t - scale * mean_p
    shape = (-1, 1, 1, 1)
    return scale.to(prediction_B1HW.dtype).view(shape), shift.to(prediction_B1HW.dtype).view(shape)


def _median_ratio(depth_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    return masked_median(target_B1HW, valid_B1HW) / masked_median(depth_B1HW, valid_B1HW)
