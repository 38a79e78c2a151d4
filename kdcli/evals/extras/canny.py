"""Edges of a map after Canny (TPAMI 8, 1986), with the conventions of scikit-image, which the script of iBims-1 uses.

Gaussian smoothing that knows where the map ends, Sobel gradients (of weight 8, so thresholds are of eight times the
slope), suppression of what is no maximum along the gradient between pixels, and hysteresis over eight neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def edges(values_HW: Tensor, sigma: float, low: float, high: float) -> Tensor:
    """Return the edges, H x W booleans; none on the outermost pixels."""
    smooth = _smooth(values_HW.double()[None, None], sigma)
    padded = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    across = smooth.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None]
    dx, dy = (F.conv2d(padded, kernel)[0, 0] for kernel in (across, across.mT))
    size = torch.hypot(dx, dy)
    inner = torch.zeros_like(size, dtype=torch.bool)
    inner[1:-1, 1:-1] = True
    weak = inner & (size >= low) & _maximum(dx, dy, size)
    return _connected(weak, weak & (size >= high))


def near(edges_HW: Tensor, most: int) -> Tensor:
    """Return how far each pixel is from the nearest edge, in pixels, H x W float64; ``most`` where it is farther."""
    beyond = float(2 * most * most)
    square = torch.where(edges_HW, 0.0, beyond).double()
    for axis in (0, 1):
        padded = F.pad(square[None, None], (most, most, 0, 0) if axis else (0, 0, most, most), value=beyond)[0, 0]
        length = square.shape[axis]
        square = torch.stack([
            padded.narrow(axis, most + step, length) + step * step for step in range(-most, most + 1)
        ]).amin(0)  # fmt: skip
    return square.sqrt().clamp(max=most)


def _smooth(map_11HW: Tensor, sigma: float) -> Tensor:
    radius = int(4 * sigma + 0.5)
    steps = torch.arange(-radius, radius + 1, dtype=map_11HW.dtype, device=map_11HW.device)
    kernel = torch.exp(-0.5 * (steps / sigma).square())
    kernel = kernel / kernel.sum()

    def blur(one: Tensor) -> Tensor:
        down = F.conv2d(one, kernel.view(1, 1, -1, 1), padding=(radius, 0))
        return F.conv2d(down, kernel.view(1, 1, 1, -1), padding=(0, radius))

    return blur(map_11HW) / blur(torch.ones_like(map_11HW))


def _maximum(dx: Tensor, dy: Tensor, size: Tensor) -> Tensor:
    """Return where the gradient is no smaller than one pixel further along it, to both sides."""
    steep = dy.abs() > dx.abs()
    larger, smaller = torch.where(steep, dy.abs(), dx.abs()), torch.where(steep, dx.abs(), dy.abs())
    weight = smaller / larger.clamp(min=torch.finfo(size.dtype).tiny)
    padded = F.pad(size[None, None], (1, 1, 1, 1))[0, 0]
    height, width = size.shape

    def shifted(down: int, right: int) -> Tensor:
        return padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]

    kept = torch.ones_like(steep)
    for side in (1, -1):
        for same in (True, False):  # signs of both derivatives alike, or not
            diagonal = (side, side) if same else (side, -side)
            along_rows = shifted(side, 0) * (1 - weight) + shifted(*diagonal) * weight
            flat = (0, side) if same else (0, -side)
            along_columns = shifted(*flat) * (1 - weight) + shifted(*diagonal) * weight
            here = ((dx * dy) >= 0) == same
            kept &= ~here | (torch.where(steep, along_rows, along_columns) <= size)
    return kept


def _connected(weak: Tensor, strong: Tensor) -> Tensor:
    """Return weak edges that hang together with strong ones."""
    while True:
        grown = weak & (F.max_pool2d(strong[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0)
        if torch.equal(grown, strong):
            return strong
        strong = grown
