"""Heads: from a feature to metric depth within a known range.

Both start at about the geometric middle of the range whatever the feature is, or at the depth that ``begin_at`` is
told, so that the first steps of a training are spent on the picture and not on finding the scale. A scale that is
missing is not found by the head's bias: every weight between image and depth is pushed in the one direction that makes
all depth larger (or smaller), and features that differed become alike.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from kdcli.errors import SpecError

Answer = tuple[Tensor, Tensor | None, Tensor | None]
"""Depth B x 1 x h x w in metres, probs B x K x h x w and centers (K,), the latter two of heads over bins."""

Spacing = Literal["log", "even"]
BUMP = 0.15
"""Spread of the probabilities that a head over bins begins with, as a share of the range in log space."""

NEAREST_END = 0.1
"""Share of the range, in log space, that a head begins away from either end: there its gradient would vanish."""

MOST_BINS = 4096
"""At 240 x 320 pixels that many probabilities are already 1.2 GiB an image."""


class DirectHead(nn.Module):
    """Regress depth as one number per pixel.

    The number moves depth through its range in log space, depth = min (max / min) ** sigmoid(x): positive, bounded,
    and a step has the same relative effect near and far.
    """

    def __init__(self, channels: int, min_depth: float, max_depth: float) -> None:
        super().__init__()
        check_range(min_depth, max_depth)
        self.floor, self.span = math.log(min_depth), math.log(max_depth / min_depth)
        self.conv = nn.Conv2d(channels, 1, 3, padding=1)
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def begin_at(self, depth: float) -> None:
        """Begin at a depth in metres; for a head that has not learned yet."""
        nn.init.constant_(self.conv.bias, _logit(_share(depth, self.floor, self.span)))  # type: ignore[arg-type]

    def forward(self, feature: Tensor) -> Answer:
        """Return depth alone."""
        # float32 also under autocast: bfloat16 would step far depth by several centimetres.
        share = torch.sigmoid(self.conv(feature).float())
        return torch.exp(self.floor + self.span * share), None, None


class BinsHead(nn.Module):
    """Classify depth over fixed bins; depth is the expectation, sum of probs times centers.

    ``spacing``: bins that are even in the logarithm of depth (``log``) or in depth itself (``even``).
    """

    centers: Tensor

    def __init__(self, channels: int, min_depth: float, max_depth: float, bins: int, spacing: Spacing = "log") -> None:
        super().__init__()
        check_range(min_depth, max_depth)
        centers = bin_centers(min_depth, max_depth, bins, spacing)
        self.register_buffer("centers", centers.float(), persistent=False)
        self.conv = nn.Conv2d(channels, bins, 3, padding=1)
        nn.init.normal_(self.conv.weight, std=0.01)
        self.floor, self.span = math.log(min_depth), math.log(max_depth / min_depth)
        self._logs, self._even = centers.log(), spacing == "even"
        self._bump(0.5)

    def begin_at(self, depth: float) -> None:
        """Begin at a depth in metres; for a head that has not learned yet."""
        # The mean of a bump that is even in log depth lies above its peak by half its variance.
        self._bump(_share(depth, self.floor, self.span) - 0.5 * BUMP**2 * self.span)

    @torch.no_grad()
    def _bump(self, share: float) -> None:
        """Put a broad bump at a share of the range: with equal logits depth would begin far above the middle."""
        bias = -0.5 * ((self._logs - self.floor - share * self.span) / (BUMP * self.span)).square()
        if self._even:
            bias = bias - self._logs  # as much of the bump as falls into a bin, of width 1 / depth in log depth
        self.conv.bias.copy_(bias)  # type: ignore[union-attr]

    def forward(self, feature: Tensor) -> Answer:
        """Return depth, probs and centers."""
        probs = torch.softmax(self.conv(feature).float(), dim=1)
        depth = (probs * self.centers.view(1, -1, 1, 1)).sum(dim=1, keepdim=True)
        return depth, probs, self.centers


def _share(depth: float, floor: float, span: float) -> float:
    """Return where a depth lies in a range in log space, 0..1, kept away from both ends."""
    return min(max((math.log(depth) - floor) / span, NEAREST_END), 1 - NEAREST_END)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def bin_centers(min_depth: float, max_depth: float, bins: int, spacing: Spacing) -> Tensor:
    """Return the middles of bins that fill a range, K in float64 metres, even in depth or in its logarithm.

    Raises:
        SpecError: fewer than two bins, far too many, or an unknown spacing.
    """
    check_bins(bins)
    if spacing not in ("log", "even"):
        raise SpecError(f"spacing={spacing} is unknown; use log or even")
    log = spacing == "log"
    low, high = (math.log(min_depth), math.log(max_depth)) if log else (min_depth, max_depth)
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
    middles = (edges[1:] + edges[:-1]) / 2
    return middles.exp() if log else middles


def check_bins(bins: int) -> None:
    """Refuse a number of bins that is no distribution, or that no image leaves room for.

    Raises:
        SpecError: not 2 <= bins <= MOST_BINS.
    """
    if bins < 2:
        raise SpecError(f"bins={bins} is too few for a distribution; use 2 or more, for example 64")
    if bins > MOST_BINS:
        raise SpecError(f"bins={bins} is beyond {MOST_BINS}; use fewer, for example 64")


def check_range(min_depth: float, max_depth: float) -> None:
    """Refuse a range that is empty or not positive.

    Raises:
        SpecError: not 0 < min_depth < max_depth.
    """
    if not 0.0 < min_depth < max_depth < math.inf:
        raise SpecError(
            f"min_depth={min_depth}, max_depth={max_depth} is no range; use 0 < min_depth < max_depth in metres"
        )
