"""From drawn objects to the solids of a scene: parts gathered into few solids, the materials of their looks."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.kinds import LOOKS, Kind, Loose
from kdcli.sources.sim.scene import BURIED


def take(table: Tensor, index: Tensor) -> Tensor:
    """Pick rows of B x K x F tables by B x N numbers."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[-1]))


def together(slots: list[Loose], name: str) -> Tensor:
    """Return one column of several tables of parts, side by side."""
    return torch.cat([getattr(slot, name) for slot in slots], dim=1)


def fitting(slots: list[Loose], sort: Tensor, limits: tuple[int, ...], objects: int) -> Tensor:
    """Return which parts are drawn, B x N: an object's parts all go in, or none does.

    sort: B x N, which of the limits a part counts for; ``limits``: how many parts of each sort a scene has room for, in
    the order of the slots. objects: owners are 1 .. objects.
    """
    exists, owner = together(slots, "exists"), together(slots, "owner")
    fits = torch.ones_like(exists)
    for number, limit in enumerate(limits):
        kind = sort == number
        over = (exists & kind).cumsum(1) > limit
        count = torch.zeros((len(owner), objects + 1), dtype=torch.int64, device=owner.device)
        fits = fits & (count.scatter_add(1, owner, (over & exists & kind).long()).gather(1, owner) == 0)
    return exists & fits


def first_of(wanted: Tensor, room_for: int) -> tuple[Tensor, Tensor]:
    """Return the numbers of the first wanted parts, B x room_for, and which of them there are."""
    order = (~wanted).long().argsort(dim=1, stable=True)[:, :room_for]
    return order, wanted.gather(1, order)


def placed(slots: list[Loose], order: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Return centre and half size of chosen parts, B x K x 3; buried where there is none."""
    buried = torch.tensor((0.0, BURIED, 0.0), device=order.device)
    center = torch.where(there[..., None], take(together(slots, "center"), order), buried)
    return center, torch.where(there[..., None], take(together(slots, "half"), order), 0.001)


def draw_looks(dice: Dice, kinds: tuple[Kind, ...], kind_BK: Tensor, numbers: dict[str, int]) -> Tensor:
    """Draw the materials of the looks of objects, B x K x LOOKS numbers of materials."""

    def choices(kind: Kind) -> list[list[int]]:
        rows = [*kind.looks, *(kind.looks[:1] * (LOOKS - len(kind.looks)))]
        return [[numbers[row[i % len(row)]] for i in range(12)] for row in rows]

    table = torch.tensor([choices(kind) for kind in kinds], device=dice.device)[kind_BK]
    return table.gather(3, dice.integer(kind_BK.shape[1], LOOKS, 1, count=12))[..., 0]
