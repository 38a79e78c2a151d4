"""Images that a file is held against its network on: given ones, or smooth synthetic ones with edges."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional


def images_for(
    images: Tensor | None, size: tuple[int, int], *, other_size: bool, two: bool
) -> Iterable[Tensor]:
    """Yield batches to compare on: the size of the export, a batch of two, another size.

    Given images (B x 3 x H x W in 0..1, any size) are resized; without any, smooth synthetic ones are made.
    """
    base = _two(images, size)
    yield _to(base[:1], size)
    if two:
        yield _to(base[:2], size)
    if other_size:
        yield another(images, size)


def images_at(images: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Return all given images at a size, or two synthetic ones."""
    return _to(_two(images, size), size)


def another(images: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Return one image of another size than ``size``.

    Neither the aspect nor a multiple of 32 is kept: that is where exported resizes go wrong.
    """
    return _to(_two(images, size)[:1], _other(size))


def all_at(images: Tensor | None, size: tuple[int, int], *, other_size: bool) -> Iterable[Tensor]:
    """Yield all images at a size, and all of them at another one."""
    base = _two(images, size)
    yield _to(base, size)
    if other_size:
        yield _to(base, _other(size))


def _other(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] + 33, max(33, size[1] - 18)


def _two(images: Tensor | None, size: tuple[int, int]) -> Tensor:
    base = synthetic(2, size) if images is None else images.detach().float().cpu()
    return base if len(base) > 1 else torch.cat([base, base.flip(-1)])


def synthetic(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Return smooth images with edges, count x 3 x H x W in 0..1: noise of four scales on a gradient, and a box."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    picture = torch.linspace(0.2, 0.8, height).view(1, 1, -1, 1).expand(count, 3, height, width).clone()
    for cells, weight in ((3, 0.30), (7, 0.20), (15, 0.12), (40, 0.05)):
        noise = torch.rand(count, 3, cells, cells, generator=generator) - 0.5
        picture += weight * functional.interpolate(noise, size=size, mode="bilinear", align_corners=False)
    picture[..., height // 3 : height // 2, width // 4 : width // 2] += 0.25
    return picture.clamp(0, 1)


def _to(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
