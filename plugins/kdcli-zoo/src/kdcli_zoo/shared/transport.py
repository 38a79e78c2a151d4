"""Entropic optimal transport between two sets of points: the debiased Sinkhorn divergence, in log space.

S(X, Y) = OT(X, Y) - OT(X, X) / 2 - OT(Y, Y) / 2 with uniform weights and the cost |x - y|^2 / 2 (Feydy et al. 2019,
arXiv 1810.08278). It is 0 for equal sets, which OT(X, Y) alone is not.

Epsilon is annealed as GeomLoss does it, so that its numbers come out: it begins at the squared diameter of the box
around all points, is multiplied by ``scaling`` squared until it would fall below ``blur`` squared, and ends there with
a single update. Potentials are averaged with their updates, and one last full update carries the gradient (envelope
theorem). Such a schedule stops before convergence, by some 1e-4 of the value; ``steps`` adds updates at the end.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.errors import SpecError
from kdcli.maps import full_precision, widen


def sinkhorn_divergence(
    points: Tensor, others: Tensor, *, blur: float = 0.1, scaling: float = 0.5, steps: int = 0, debias: bool = True,
    longest: float | None = None,
) -> Tensor:
    """Return the divergence of N x D points from M x D others, a scalar; the gradient goes to ``points`` alone.

    blur: square root of the last epsilon, in units of the points. steps: further updates at the last epsilon; 0 is
    GeomLoss's own schedule. debias: False for OT(X, Y) alone. longest: a diameter that is not exceeded, by which the
    number of updates is known without waiting for the device; by default that of coordinates within a range of 2.
    """
    with full_precision(points.device):
        mine, theirs = widen(points), widen(others.detach()).to(widen(points).dtype)
        middle = theirs.mean(dim=0)  # distances stay, squares of large coordinates do not cancel
        mine, theirs = mine - middle, theirs - middle
        longest = 2 * math.sqrt(points.shape[1]) if longest is None else longest
        with torch.no_grad():
            across, own, other = _costs(mine, theirs), _costs(mine, mine), _costs(theirs, theirs)
            epsilons, active = _schedule(_diameter(mine, theirs), blur, scaling, longest, steps)
            first = epsilons[0]
            f, g = _softmin(first, across), _softmin(first, across.T)
            p, q = _softmin(first, own), _softmin(first, other)
            for epsilon, counts in zip(epsilons, active, strict=True):
                f, g = (
                    _averaged(f, _softmin(epsilon, across, g), counts),
                    _averaged(g, _softmin(epsilon, across.T, f), counts),
                )
                if debias:
                    p = _averaged(p, _softmin(epsilon, own, p), counts)
                    q = _averaged(q, _softmin(epsilon, other, q), counts)
            last = epsilons[-1]
            ends = _softmin(last, across.T, f).mean()
            if debias:
                ends = ends - _softmin(last, other, q).mean()
        begins = _softmin(last, _costs(mine, theirs), g).mean()
        if debias:
            # One side of the symmetric problem: half of its gradient, as half of its value is meant.
            begins = begins - _softmin(last, _costs(mine, mine.detach()), p).mean()
        return begins + ends


def check_transport(blur: float, scaling: float, steps: int) -> None:
    """Check what a transport is computed with.

    Raises:
        SpecError: a blur that is none, a scaling that does not anneal, or a number of steps that is none.
    """
    if not 1e-6 <= blur <= 1e6:
        raise SpecError(f"blur={blur} is outside 1e-6 to 1e6; use for example 0.1")
    if not 0.05 <= scaling <= 0.95:
        raise SpecError(f"scaling={scaling} is outside 0.05 to 0.95; use for example 0.5")
    if not 0 <= steps <= 10_000:
        raise SpecError(f"steps={steps} is no number of further updates; use 0 to 10000")


def _costs(points: Tensor, others: Tensor) -> Tensor:
    """Return half of the squared distances, N x M."""
    squares = points.square().sum(1, keepdim=True) + others.square().sum(1)
    return squares / 2 - points @ others.T


def _softmin(epsilon: Tensor, costs: Tensor, potential: Tensor | None = None) -> Tensor:
    """Return -epsilon log mean_j exp((g_j - c_ij) / epsilon) for each i; no epsilon overflows.

    The smallest c - g is taken out first, so that exponents are at most 0 (small epsilons), and what is left is summed
    as distances from 1, so that a large epsilon does not multiply the rounding of a logarithm near 0.
    """
    reduced = costs if potential is None else costs - potential.detach()
    low = reduced.detach().amin(dim=1, keepdim=True)
    missing = torch.expm1((low - reduced) / epsilon).mean(dim=1)
    return low.squeeze(1) - epsilon * torch.log1p(missing)


def _schedule(diameter: Tensor, blur: float, scaling: float, longest: float, steps: int) -> tuple[Tensor, Tensor]:
    """Return epsilons and which of them count, as many as the longest diameter asks for."""
    count = max(0, math.ceil(math.log(longest / blur) / -math.log(scaling))) + 1
    number = torch.arange(count, device=diameter.device, dtype=diameter.dtype)
    first = diameter.square().clamp_min(1e-12).view(1)  # 0 where all points are one
    annealed = first * scaling ** (2 * number)
    counts = number < (diameter / blur).log() / -math.log(scaling)
    last = torch.full((1 + steps,), blur * blur, device=diameter.device, dtype=diameter.dtype)
    always = torch.ones_like(last, dtype=torch.bool)
    return torch.cat([first, annealed, last]), torch.cat([always[:1], counts, always])


def _averaged(before: Tensor, after: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of a potential and its update, or the potential where the update does not count."""
    return torch.where(counts, (before + after) / 2, before)


def _diameter(points: Tensor, others: Tensor) -> Tensor:
    """Return the diagonal of the box around all points."""
    high = torch.maximum(points.amax(dim=0), others.amax(dim=0))
    low = torch.minimum(points.amin(dim=0), others.amin(dim=0))
    diagonal: Tensor = torch.linalg.vector_norm(high - low)
    return diagonal
