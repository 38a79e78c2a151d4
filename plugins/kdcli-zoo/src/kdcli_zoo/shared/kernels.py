"""Similarities of tokens as probabilities, and how far two sets of them are apart (arXiv 2005.00727, ``pkt_transfer``).

Every row of N x N similarities is divided by its sum, the diagonal kept: the share that each token has in what is like
a given one. Student and teacher may have any number of channels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["combined", "cosine", "student-t", "adaptive-rbf"]
Divergence = Literal["jeffreys", "kl"]

EPS = 1e-6
"""Added to squared distances before the root, to norms, and twice inside the logarithm of the ``kl`` form."""
LEAST = 1e-8
"""Smallest similarity: opposite vectors have none, and rounding may make it negative."""


def kernel_divergence(
    student: Tensor, teacher: Tensor, *, kernel: Kernel = "combined", divergence: Divergence = "jeffreys"
) -> Tensor:
    """Return how far the relations of N x C student tokens are from those of N x D teacher tokens, a scalar.

    combined: the sum over the cosine and the Student-t kernel. jeffreys: mean over entries of (P - Q)(ln P - ln Q), 0
    or above; kl: of P ln(1e-6 + P / (1e-6 + Q)), P the teacher's, which is not 0 at equality to the last digit.
    """
    used: tuple[Kernel, ...] = ("cosine", "student-t") if kernel == "combined" else (kernel,)
    parts = []
    for name in used:
        mine, theirs = _shares(similarities(student, name)), _shares(similarities(teacher, name)).detach()
        if divergence == "jeffreys":
            parts.append(((theirs - mine) * (theirs.log() - mine.log())).mean())
        else:
            parts.append((theirs * (EPS + theirs / (EPS + mine)).log()).mean())
    return torch.stack(parts).sum()


def similarities(tokens: Tensor, kernel: Kernel) -> Tensor:
    """Return N x N similarities of N x C tokens, above 0: (cos + 1) / 2, 1 / (1 + d) or exp(-d / mean d).

    ``combined`` is no kernel of its own.
    """
    if kernel == "cosine":
        unit = tokens / (tokens.square().sum(1, keepdim=True).clamp_min(LEAST * LEAST).sqrt() + EPS)
        return ((unit @ unit.T + 1) / 2).clamp_min(LEAST)
    distances = _distances(tokens)
    if kernel == "student-t":
        return 1 / (1 + distances)
    return (-distances / distances.mean().detach()).exp()


def _distances(tokens: Tensor) -> Tensor:
    """Return sqrt(d^2 + 1e-6), N x N: 1e-3 between a token and itself."""
    centred = tokens - tokens.detach().mean(dim=0)  # distances stay, large squares do not cancel
    squares = centred.square().sum(dim=1)
    return ((squares[:, None] + squares - 2 * centred @ centred.T).clamp_min(0) + EPS).sqrt()


def _shares(similar: Tensor) -> Tensor:
    return similar / similar.sum(dim=1, keepdim=True)
