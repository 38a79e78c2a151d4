"""How well the edges of an image and of its depth fall together, at their place and anywhere else.

Edges of depth are where its inverse jumps by a share of itself, those of the image where it does. Both are laid on one
coarse grid, freed of what is bright over wide areas, and correlated at every shift, for the depth as it is and
turned or mirrored. A correlation says little by itself: it is given in standard deviations over all shifts, which are
what chance gives. Where image and depth belong together it is about 5 to 12 at shift 0, anywhere else 1 to 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, max_pool2d, pad

TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda x: x,
    "mirrored left to right": lambda x: x.flip(-1),
    "upside down": lambda x: x.flip(-2),
    "turned by half": lambda x: x.flip(-1, -2),
    "turned by a quarter to the right": lambda x: x.rot90(1, (-2, -1)),
    "turned by a quarter to the left": lambda x: x.rot90(3, (-2, -1)),
    "with rows and columns exchanged": lambda x: x.transpose(-1, -2),
    "with rows and columns exchanged and turned by half": lambda x: x.flip(-1, -2).transpose(-1, -2),
}
"""What may have been done to the depth -> how to undo it. The last four need images that are nearly square."""

_SHORT, _LEAST, _LONGEST = 96, 24, 3.0
_SQUARE = 1.5
_WIDE = 15
"""Cells over which the mean is taken off."""
_KNOWN = 0.02
_SPARSE, _IN_A_CELL = 0.5, 1
_NEAR = 2
"""Cells that edges may lie apart and still count as together: parallax, blur, other shutters."""
REACH = 0.25
"""Share of height and width up to which shifts are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of one image. turns: best agreement within two cells of shift 0, one for each of ``TURNS`` (4 or 8).

    shifts: agreement at shifts of up to a quarter of the height and width, (2a + 1) x (2b + 1), shift 0 in the middle;
    at row a + y, column b + x the depth lies y cells too low and x too far to the right. cells: of the grid, rows and
    columns.
    """

    turns: tuple[float, ...]
    shifts: Tensor
    cells: tuple[int, int]


def agreement(image_3HW: Tensor, depth_1hw: Tensor, valid_1hw: Tensor | None) -> Agreement | None:
    """Return how well edges agree; None where either has too few cells or no edges."""
    valid_1hw = torch.ones_like(depth_1hw, dtype=torch.bool) if valid_1hw is None else valid_1hw
    cells = _cells(image_3HW.shape[-2:], depth_1hw.shape[-2:], int(valid_1hw.sum()))
    if min(cells) < _LEAST:
        return None
    grey_HW = (image_3HW * image_3HW.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    seen = _levelled(*_edges(interpolate(grey_HW[None, None], cells, mode="bilinear", antialias=True)[0, 0]))
    if seen is None:
        return None
    known = valid_1hw.float()
    near = torch.where(valid_1hw, 1 / depth_1hw.clamp(min=1e-3), 0.0)
    square = max(cells) <= _SQUARE * min(cells)
    spectrum, peaks, shifts = torch.fft.rfft2(seen), [], None
    for undo in list(TURNS.values())[: 8 if square else 4]:
        measured = _levelled(*_depth_edges(undo(near), undo(known), cells))
        if measured is None:
            return None
        surface = torch.fft.irfft2(spectrum.conj() * torch.fft.rfft2(measured), s=cells)
        surface = (surface - surface.mean()) / surface.std().clamp(min=1e-9)
        if shifts is None:
            shifts = around(surface, (round(REACH * cells[0]), round(REACH * cells[1])))
        peaks.append(float(around(surface, (_NEAR, _NEAR)).max()))
    assert shifts is not None
    return Agreement(turns=tuple(peaks), shifts=shifts, cells=cells)


def around(surface: Tensor, reach: tuple[int, int]) -> Tensor:
    """Return the part of a surface of shifts that lies around shift 0, which is its first cell, brought into the
    middle."""
    down, across = reach
    return surface.roll((down, across), (0, 1))[: 2 * down + 1, : 2 * across + 1].clone()


def _cells(image: torch.Size, depth: torch.Size, known: int) -> tuple[int, int]:
    """Return rows and columns of the grid: of the image's shape, no finer than image or depth.

    Where most pixels of the depth are not known, cells hold one or more of those that are.
    """
    shape = min(max(image[1] / image[0], 1 / _LONGEST), _LONGEST)
    rows, columns = (_SHORT, _SHORT * shape) if shape >= 1 else (_SHORT / shape, _SHORT)
    factor = min(1.0, min(image[0], depth[0]) / rows, min(image[1], depth[1]) / columns)
    if known < _SPARSE * depth[0] * depth[1]:
        factor = min(factor, (known / (_IN_A_CELL * rows * columns)) ** 0.5)
    return int(rows * factor), int(columns * factor)


def _depth_edges(near_1hw: Tensor, known_1hw: Tensor, cells: tuple[int, int]) -> tuple[Tensor, Tensor]:
    share = adaptive_avg_pool2d(known_1hw[None], cells)[0, 0]
    mean = adaptive_avg_pool2d(near_1hw[None], cells)[0, 0] / share.clamp(min=1e-9)
    holes = (share == 0).float()[None, None]
    known = max_pool2d(holes, 3, 1, 1)[0, 0] == 0  # the rim of a hole is no edge
    edges, _ = _edges(mean)
    nearest = max_pool2d(mean[None, None], 3, 1, 1)[0, 0]  # of both sides, else edges would lie on the far side
    return (edges / nearest.clamp(min=1e-6)).where(known, edges.new_zeros(())), known


def _edges(grid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the length of the gradient, and that it is known everywhere."""
    wide = pad(grid[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across, down = wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]
    return (across.square() + down.square()).sqrt(), torch.ones_like(grid, dtype=torch.bool)


def _levelled(edges: Tensor, known: Tensor) -> Tensor | None:
    """Return edges against their surroundings, at one strength for all images; None where there are none."""
    count = float(known.sum())
    if count < _KNOWN * known.numel():
        return None
    edges = edges.sqrt() * known  # a strong edge is one edge too
    mean, share = (avg_pool2d(x[None, None].float(), _WIDE, 1, _WIDE // 2)[0, 0] for x in (edges, known))
    edges = (edges - mean / share.clamp(min=1e-6)) * known
    strength = float((edges.square().sum() / count).sqrt())
    return (edges / strength).clamp(-3, 3) if strength > 1e-6 else None
