"""From what a network says to depth that can be compared: alignment in the space that fits the depth kind.

A prediction that is only known up to a factor (or a factor and an offset) has to be fitted to the ground truth before
any metric means something. The fit is made per image, over the counted pixels, in the network's own output space
(depth for depth networks, inverse depth for disparity networks) unless the alignment names another.

Everything here takes maps of B x 1 x H x W with a mask, or the pixels of one image that count as a list of N numbers;
a mask of a list says which of them are fitted to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from kdcli.errors import ConfigError, nearest
from kdcli.evals.fits import line, middle
from kdcli.evals.protocol import Alignment, Fit
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

UNKNOWNS: dict[Alignment, int] = {
    "none": 0, "median": 1, "scale-shift": 2, "scale-shift-disparity": 2, "scale-shift-log": 2,
}  # fmt: skip
"""Numbers that an alignment fits to each image; with no more pixels than that it meets them all, whatever is there."""

MODES = ("auto", *UNKNOWNS)

Space = Literal["depth", "disparity", "log"]
_LARGEST_LOG = 80.0
"""Logarithm of depth above which float32 would overflow."""


@dataclass(frozen=True, slots=True)
class _Refused:
    kinds: tuple[DepthKind, ...]
    why: str


_MEANINGLESS: dict[Alignment, _Refused] = {
    "scale-shift-disparity": _Refused((DepthKind.AFFINE_DEPTH,), "inverse depth"),
    "scale-shift-log": _Refused((DepthKind.AFFINE_DEPTH, DepthKind.AFFINE_DISPARITY), "a logarithm"),
}


def resolve(asked: str | None, kind: DepthKind, protocol: Alignment = "none") -> Alignment:
    """Return the alignment for a model: the one asked for, else the protocol's, else what its depth kind needs.

    Raises:
        ConfigError: an unknown mode, ``none`` for numbers that are no metres, or a fit in a space in which numbers of
            unknown offset mean nothing.
    """
    if asked is not None and asked not in MODES:
        raise ConfigError(f"alignment '{asked}' is unknown.{nearest(asked, MODES)} Known: {', '.join(MODES)}")
    named: Alignment = protocol if asked in (None, "auto") else cast(Alignment, asked)
    if named == "none" and kind is not DepthKind.METRIC:
        if asked == "none":
            raise ConfigError(
                f"alignment 'none' does not fit a model of depth kind {kind}, whose numbers are no metres; "
                f"use --align {AUTOMATIC[kind]}"
            )
        return AUTOMATIC[kind]
    refused = _MEANINGLESS.get(named)
    if refused is not None and kind in refused.kinds:
        raise ConfigError(
            f"alignment '{named}' does not fit a model of depth kind {kind}: with an unknown offset, {refused.why} of "
            "its numbers means nothing; use --align scale-shift"
        )
    return named


def align(
    prediction: Tensor, kind: DepthKind, target: Tensor, valid: Tensor | None, mode: Alignment, fit: Fit | None = None
) -> Tensor:
    """Return the prediction as depth in the units of the target, of its shape, at least ``FLOOR``.

    ``median``: depth (inverted first for disparity) times median(target) / median(prediction). ``scale-shift``: the
    least-squares factor and offset in depth, or in inverse depth for disparity, which is inverted afterwards.
    ``scale-shift-disparity`` and ``scale-shift-log`` fit in inverse depth and in its logarithm, whatever the kind.
    valid: where to fit; None = everywhere, for a list. fit: floor and exclusions of a protocol.

    Raises:
        ConfigError: ``none`` for a kind other than metric.
    """
    mode, fit = resolve(mode, kind), fit or Fit()
    if UNKNOWNS[mode] == 2:
        space = _space(mode, kind)
        said = _into(prediction, kind, space)
        if fit.positive and space == "disparity":
            valid = prediction > 0 if valid is None else valid & (prediction > 0)
        scale, shift = scale_and_shift(said, _into(target, DepthKind.METRIC, space), valid)
        return _depth(said * scale + shift, space, fit)
    depth = prediction.clamp(min=FLOOR)
    if kind.is_disparity:
        depth = depth.reciprocal()
    if mode == "median":
        depth = depth * _median_ratio(depth, target, valid)
    return depth


def depth_fit(
    prediction_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor, mode: Alignment
) -> tuple[Tensor, Tensor]:
    """Return the factor and offset, B x 1 x 1 x 1 each, by which ``align`` fits depth (not disparity) in a mode.

    What is told beside the depth, deviations and intervals, is brought to metres with them. Fits in another space than
    depth have no such numbers: ``in_depth`` tells.
    """
    if mode == "scale-shift":
        return scale_and_shift(prediction_B1HW, target_B1HW, valid_B1HW)
    one = prediction_B1HW.new_ones(len(prediction_B1HW), 1, 1, 1)
    if mode == "median":
        one = _median_ratio(prediction_B1HW.clamp(min=FLOOR), target_B1HW, valid_B1HW)
    return one, torch.zeros_like(one)


def in_depth(mode: Alignment, kind: DepthKind) -> bool:
    """Whether an alignment of a kind is one factor and one offset of depth."""
    return not kind.is_disparity and (UNKNOWNS[mode] < 2 or _space(mode, kind) == "depth")


def scale_and_shift(prediction: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the factor and offset that bring predictions nearest to targets in least squares, in float64.

    Of maps B x 1 x 1 x 1 each, by the closed form about the means; of a list one number each. A prediction that is
    constant over the counted pixels gets factor 0.
    """
    if prediction.ndim == 1:
        chosen = [one if valid is None else one[valid] for one in (prediction, target)]
        found = line(chosen[0].numpy(), chosen[1].numpy())
        return prediction.new_tensor(found[0]), prediction.new_tensor(found[1])
    assert valid is not None
    flat_valid = valid.flatten(1)
    p = torch.where(flat_valid, prediction.flatten(1), 0).double()
    t = torch.where(flat_valid, target.flatten(1), 0).double()
    count = flat_valid.sum(1, keepdim=True).double()
    mean_p, mean_t = p.sum(1, keepdim=True) / count, t.sum(1, keepdim=True) / count
    centred = torch.where(flat_valid, p - mean_p, 0)
    variance = centred.square().sum(1, keepdim=True)
    covariance = (centred * (t - mean_t)).sum(1, keepdim=True)
    # Below float32 resolution the spread is rounding, and a fit to it would be noise.
    flat = variance <= count * (1e-7 * mean_p).square()
    scale = torch.where(flat, 0, covariance / torch.where(flat, 1, variance))
    shift = mean_t - scale * mean_p
    shape = (-1, 1, 1, 1)
    return scale.to(prediction.dtype).view(shape), shift.to(prediction.dtype).view(shape)


def _median_ratio(depth: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    if depth.ndim == 1:
        chosen = [one if valid is None else one[valid] for one in (target, depth)]
        ours, theirs = (depth.new_tensor(middle(one.numpy())) for one in chosen)
        return ours / theirs
    assert valid is not None
    return masked_median(target, valid) / masked_median(depth, valid)


def _space(mode: Alignment, kind: DepthKind) -> Space:
    if mode == "scale-shift-log":
        return "log"
    return "disparity" if mode == "scale-shift-disparity" or kind.is_disparity else "depth"


def _into(values: Tensor, kind: DepthKind, space: Space) -> Tensor:
    """Return numbers of a kind in the space of a fit; those that are of it stay as they are."""
    if space == "log":
        log = values.clamp(min=FLOOR).log()
        return -log if kind.is_disparity else log
    return values if kind.is_disparity == (space == "disparity") else values.clamp(min=FLOOR).reciprocal()


def _depth(fitted: Tensor, space: Space, fit: Fit) -> Tensor:
    if space == "log":
        return fitted.clamp(max=_LARGEST_LOG).exp().clamp(min=FLOOR)
    if space == "depth":
        return fitted.clamp(min=FLOOR)
    depth = fitted.clamp(min=max(fit.floor, FLOOR)).reciprocal()
    return depth if fit.beyond == "far" else torch.where(fitted > 0, depth, FLOOR)
