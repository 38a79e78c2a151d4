"""Features of student and teacher that are to be compared place by place: their sizes and their channels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from kdcli.maps import widen


def same_size(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return two features B x C x h x w in at least float32; along each side the larger is averaged to the smaller."""
    one, other = widen(one), widen(other)
    height, width = (min(a, b) for a, b in zip(one.shape[-2:], other.shape[-2:], strict=True))
    return pooled(one, height, width), pooled(other, height, width)


def pooled(feature: Tensor, height: int, width: int) -> Tensor:
    """Return B x C x h x w averaged to another size; as it is where it has that size."""
    if tuple(feature.shape[-2:]) == (height, width):
        return feature
    return functional.adaptive_avg_pool2d(feature, (height, width))


def projection(student: int, teacher: int) -> nn.Module:
    """Return a 1x1 convolution from the student's channels to the teacher's; nothing where they are as many."""
    return nn.Identity() if student == teacher else nn.Conv2d(student, teacher, 1)
