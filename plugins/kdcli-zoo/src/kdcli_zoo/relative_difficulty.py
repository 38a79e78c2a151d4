"""Relative difficulty (arXiv 2407.03719): what a pixel counts for, from how hard two predictions find it.

The functions on classes are those of the authors' code (sunyueue/RDD); those on depth stand beside them. What is hard
there, a probability of the true class of at most 0.7, is here a ratio to the true depth of 1.25 and more, the border of
delta_1. Weights carry no gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kept = Literal["xor", "or", "and", "student"]


def agreement(depth: Tensor, other: Tensor) -> Tensor:
    """Return exp(-|ln d - ln d'|) of positive depths B x 1 x h x w: 1 / r of their ratio r >= 1, thus 0.8 at 1.25."""
    return torch.exp(-(depth.log() - other.log()).abs())


def gaussian_agreement(depth: Tensor, other: Tensor, width: float) -> Tensor:
    """Return exp(-KL) of two equal bells about the logarithms: KL = (ln d - ln d')^2 / (2 width^2)."""
    return torch.exp(-(depth.log() - other.log()).square() / (2 * width**2))


def class_agreement(logits: Tensor, auxiliary: Tensor) -> Tensor:
    """Return exp(-KL(p_aux || p_main)) per pixel of logits B x C x h x w, B x 1 x h x w."""
    log_main, log_aux = logits.log_softmax(1), auxiliary.log_softmax(1)
    return torch.exp(-(log_aux.exp() * (log_aux - log_main)).sum(1, keepdim=True))


def hard(difficulty: Tensor, valid: Tensor, border: float, least: Tensor | int) -> Tensor:
    """Return which valid pixels are hard: difficulty at or above the border, and at least so many, the hardest.

    difficulty: larger is harder, any shape, the whole of it one batch. least: a number of pixels, at most all valid.
    """
    ordered = torch.where(valid, difficulty, -torch.inf).flatten().sort(descending=True).values
    rank = torch.as_tensor(least, device=valid.device).minimum(valid.sum())
    last = ordered.gather(0, (rank - 1).clamp_min(0).view(1))  # not ordered[...]: the host would wait for the number
    threshold = torch.where(rank > 0, last.clamp(max=border), border)
    return valid & (difficulty >= threshold)


def kept(student: Tensor, teacher: Tensor, how: Kept) -> Tensor:
    """Return which pixels still teach, from what is hard for either; ``xor``: for one of both only."""
    if how == "xor":
        return student ^ teacher
    if how == "or":
        return student | teacher
    return student & teacher if how == "and" else student


def early_share(progress: float, switch: float, *, blend: bool) -> float:
    """Return what the first phase's weights count for, 1 to 0: all until the switch, then nothing, or ever less.

    With ``blend`` it falls to 0 at the end, as lambda = (it - max) / (warmup - max) of the authors' code.
    """
    if progress < switch:
        return 1.0
    return max((1 - progress) / (1 - switch), 0.0) if blend else 0.0


def joined(early: Tensor, late: Tensor, share: float) -> Tensor:
    """Return one weight B x 1 x h x w for both phases' losses, each a mean of its own.

    early: weights above 0 where anything counts, a mean over these pixels. late: bool, a mean over those that are kept.
    Whoever uses the weight divides by the pixels in which it is above 0.
    """
    if share == 1:
        return early
    kept_pixels = late.to(early.dtype)
    if share == 0:
        return kept_pixels
    counted = (early > 0).sum() / late.sum().clamp_min(1)
    return share * early + (1 - share) * kept_pixels * counted


def early_class_loss(student: Tensor, teacher: Tensor, auxiliary: Tensor, labels: Tensor, ignore: int = -1) -> Tensor:
    """Return the first phase's cross-entropy of logits B x C x h x w against labels B x H x W.

    As published a mean over all pixels, those without label counting as 0.
    """
    size = _size(labels)
    weight = _at(class_agreement(teacher, auxiliary), size).detach()
    each = functional.cross_entropy(_at(student, size), labels, ignore_index=ignore, reduction="none")
    return (each[:, None] * weight).mean()


def late_class_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, how: Kept, *, threshold: float = 0.7, least: int = 0,
    class_weights: Tensor | None = None, ignore: int = -1,
) -> Tensor:
    """Return the second phase's cross-entropy, a mean over the pixels that are kept; 0 where none is.

    As published but for that 0, where the original has no number.
    """
    valid, size = labels != ignore, _size(labels)
    mine = _at(student, size)
    found = [
        hard(-_true_probability(logits.detach(), labels, valid), valid, -threshold, least)
        for logits in (mine, _at(teacher, size))
    ]
    label = torch.where(kept(found[0], found[1], how), labels, ignore)
    each = functional.cross_entropy(mine, label, weight=class_weights, ignore_index=ignore, reduction="none")
    counts = (label != ignore).to(each.dtype)
    if class_weights is not None:
        counts = counts * class_weights[label.clamp_min(0)]
    total = counts.sum()
    return each.sum() / torch.where(total > 0, total, 1.0)


def class_distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher || student) of softened logits, a mean over pixels: what stays the same in both phases."""
    log_s, log_t = (student / temperature).log_softmax(1), (teacher / temperature).log_softmax(1)
    return temperature**2 * (log_t.exp() * (log_t - log_s)).sum(1).mean()


def _true_probability(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    index = torch.where(valid, labels, 0)[:, None]
    return logits.softmax(1).gather(1, index)[:, 0]


def _at(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=True)


def _size(labels: Tensor) -> tuple[int, int]:
    return int(labels.shape[-2]), int(labels.shape[-1])
