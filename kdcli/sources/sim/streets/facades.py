"""Windows: a grid of panes on the upright faces of a solid, with rims, shop windows below, and the sky mirrored."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.shade import cell_hash

PANES = (
    "cell_u", "cell_v", "half_u", "low_v", "high_v", "foot", "ground", "shop_u", "rim", "bright", "floors", "salt"
)  # fmt: skip
"""Columns. Cells in metres across and up; half the width of a window, its lower and upper end as shares of a cell;
metres from the solid's middle down to where cells begin; height of the ground floor where that is a shop (0 = it is
not) and half the width of its windows; width of rims in metres and their brightness; rows of cells (0 = no windows)."""


def draw_facades(dice: Dice, cell: Tensor, level: Tensor, floors: Tensor, half_height: Tensor, shops: Tensor) -> Tensor:
    """Draw the windows of buildings, B x G x F. half_height: of the solid, which begins two metres below the ground."""
    plots = cell.shape[1]
    half_u = dice.uniform(plots, low=0.16, high=0.42)
    low = dice.uniform(plots, low=0.22, high=0.42)
    columns = {
        "cell_u": cell,
        "cell_v": level,
        "half_u": half_u,
        "low_v": low,
        "high_v": low + dice.uniform(plots, low=0.35, high=0.55),
        "foot": half_height - 2.0,
        "ground": torch.where(shops, level, 0.0),
        "shop_u": torch.maximum(half_u, dice.uniform(plots, low=0.36, high=0.48)),
        "rim": dice.uniform(plots, low=0.0, high=0.14),
        "bright": torch.where(dice.chance(plots, probability=0.7), 0.85, 0.15),
        "floors": torch.where(dice.chance(plots, probability=0.94), floors, 0.0),
        "salt": dice.integer(plots, count=4096).float(),
    }
    return torch.stack([columns[name] for name in PANES], dim=-1)


def windows(
    rows: tuple[Tensor, ...], u: Tensor, v: Tensor, upright: Tensor, footprint: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return how far pixels show glass and rims (0..1), the brightness of rims and a number for each pane (0..1).

    rows: ``PANES`` of the solids that pixels show. u, v: coordinates in metres from the middle of a face. B x N each.
    """
    cell_u, cell_v, half_u, low, high, foot, ground, shop_u, rim, bright, floors, salt = rows
    across = u / cell_u
    column = across.floor()
    up = (v + foot) / cell_v
    storey = up.floor()
    shop = (v + foot) < ground
    half_u, low = torch.where(shop, shop_u, half_u), torch.where(shop, 0.1, low)
    high = torch.where(shop, 0.8, high)
    gap_u = (half_u - (across - column - 0.5).abs()) * cell_u
    share = up - storey
    gap_v = torch.minimum(share - low, high - share) * cell_v
    gap = torch.minimum(gap_u, gap_v)
    there = upright & (floors > 0.0) & (storey >= 0.0) & (storey < floors)
    inside = (gap / footprint + 0.5).clamp(0.0, 1.0) * there
    glass = ((gap - rim) / footprint + 0.5).clamp(0.0, 1.0) * inside
    return glass, inside - glass, bright, cell_hash(column.int(), storey.int(), salt.int())
