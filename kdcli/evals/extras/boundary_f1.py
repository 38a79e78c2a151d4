"""How well the edges of depth are met, whatever its scale: the boundary F1 of Depth Pro (arXiv 2410.02073).

Two neighbours are an edge where one is more than t times as far as the other, apart by which of them is in front. F1 is
that of the edges in the prediction and in the truth, its precision and recall means over the four directions; it is
averaged over ten t from 1.05 to 1.25, weighed by t.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.evals.extras.scene import Scene

_THRESHOLDS = torch.linspace(1.05, 1.25, 10, dtype=torch.float64)
_NEAREST = 1e-6


def boundary_f1(scene: Scene) -> tuple[float, ...]:
    """Return the F1, 0..1; 0 where there is no edge, as in the authors' code. Pairs of pixels count where both do."""
    weights = _THRESHOLDS / _THRESHOLDS.sum()
    said, true = (_ratios(one, scene.valid) for one in (scene.prediction, scene.truth))
    total = 0.0
    for threshold, weight in zip(_THRESHOLDS.tolist(), weights.tolist(), strict=True):
        precision = recall = 0.0
        for ours, theirs in zip(said, true, strict=True):
            a, b = ours > threshold, theirs > threshold
            both = int((a & b).sum())
            precision += both / max(int(a.sum()), 1) / 4
            recall += both / max(int(b.sum()), 1) / 4
        if precision + recall:
            total += weight * 2 * precision * recall / (precision + recall)
    return (total,)


def _ratios(depth: Tensor, valid: Tensor) -> list[Tensor]:
    """Return how many times as near each pixel is as its neighbour on each of four sides; 0 where one does not count.
    """
    near = 1 / torch.where(valid, depth, 1.0).double().clamp(min=_NEAREST)
    pairs = [(near[:, 1:], near[:, :-1], valid[:, 1:] & valid[:, :-1]), (near[1:], near[:-1], valid[1:] & valid[:-1])]
    return [torch.where(known, one / other, 0.0) for a, b, known in pairs for one, other in ((a, b), (b, a))]
