"""Materials of ``interiors``: ranges that colours, patterns and finish are drawn from. Data, and one formula.

A material is a row of ``palette.WIDTH`` numbers as in every world, and a row of ``FINISH``: how it mirrors lamps,
glows,
and how its pattern is turned, bent and speckled.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import Dice
from kdcli.sources.sim.palette import hsv, pack

FINISH = ("gloss", "sharpness", "glow", "bend", "bend_size", "cos", "sin", "speckle", "speckle_size")
"""Columns: weight and exponent of the mirrored light; light of its own; metres by which a pattern is bent and size of
the bends; how the pattern is turned; share of speckled cells and their size in metres."""

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Ranges of one material. hue: turns. second: the other colour, as a factor of the first; fresh: probability that
    it is any colour instead. Sizes (cells, joints, grain, speckle) in metres, drawn evenly over their logarithm."""

    hue: Range = (0.0, 1.0)
    saturation: Range = (0.0, 0.3)
    value: Range = (0.3, 0.9)
    second: Range = (0.5, 0.85)
    cell_u: Range = (1000.0, 1000.0)
    cell_v: Range = (1000.0, 1000.0)
    joint: Range = (1e-4, 1e-4)
    grain: Range = (0.1, 0.3)
    speckle_size: Range = (0.01, 0.03)
    bend_size: Range = (0.1, 0.4)
    sharpness: Range = (8.0, 40.0)
    fresh: Range = (0.0, 0.0)
    shift: Range = (0.0, 0.0)
    checker: Range = (0.0, 0.0)
    vary: Range = (0.0, 0.0)
    noise: Range = (0.0, 0.1)
    line: Range = (0.0, 0.0)
    gloss: Range = (0.0, 0.05)
    glow: Range = (0.0, 0.0)
    bend: Range = (0.0, 0.0)
    turn: Range = (0.0, 0.0)
    speckle: Range = (0.0, 0.0)


_NAMES = tuple(f.name for f in fields(Material))
_LOGARITHMIC = ("cell_u", "cell_v", "joint", "grain", "speckle_size", "bend_size", "sharpness")
_M = Material
# fmt: off
_ANY: dict[str, Range] = {"saturation": (0.05, 0.85), "value": (0.15, 0.9)}
_WOOD: dict[str, Range] = {"hue": (0.04, 0.12), "saturation": (0.3, 0.65), "noise": (0.1, 0.3), "grain": (0.05, 0.2),
"cell_u": (1000.0, 1000.0),
         "cell_v": (0.02, 0.12), "checker": (0.15, 0.6), "bend": (0.01, 0.06), "bend_size": (0.15, 0.6), "vary": (0.0,
             0.2)}
MATERIALS: dict[str, Material] = {
    "oak": _M(**_WOOD, value=(0.45, 0.85), second=(0.6, 0.85), gloss=(0.0, 0.2)),
    "dark wood": _M(**_WOOD, value=(0.12, 0.4), second=(0.5, 0.8), gloss=(0.05, 0.4)),
    "planks": _M(hue=(0.05, 0.12), saturation=(0.2, 0.6), value=(0.3, 0.8), second=(0.3, 0.6), cell_u=(0.5, 2.0),
        cell_v=(0.07, 0.2),
                 shift=(1.0, 1.0), vary=(0.2, 0.5), joint=(0.004, 0.012), line=(0.7, 1.0), noise=(0.1, 0.3),
                 gloss=(0.0, 0.25)),
    "parquet": _M(hue=(0.04, 0.11), saturation=(0.3, 0.7), value=(0.3, 0.75), second=(0.6, 0.85), cell_u=(0.3, 0.7),
        cell_v=(0.06, 0.12),
                  checker=(0.3, 0.9), vary=(0.2, 0.5), turn=(0.78, 0.79), gloss=(0.05, 0.4), sharpness=(15.0, 80.0)),
    "paint": _M(saturation=(0.0, 0.5), value=(0.15, 0.95), noise=(0.0, 0.08)),
    "gloss": _M(**_ANY, noise=(0.0, 0.05), gloss=(0.3, 1.0), sharpness=(20.0, 150.0)),
    "plastic": _M(saturation=(0.3, 0.95), value=(0.3, 0.95), gloss=(0.1, 0.5), sharpness=(10.0, 60.0)),
    "metal": _M(saturation=(0.0, 0.12), value=(0.3, 0.8), gloss=(0.5, 1.5), sharpness=(10.0, 60.0), noise=(0.0, 0.15)),
    "ceramic": _M(saturation=(0.0, 0.2), value=(0.75, 0.98), gloss=(0.3, 0.9), sharpness=(30.0, 150.0), noise=(0.0,
        0.05)),
    "glass": _M(hue=(0.1, 0.6), saturation=(0.2, 0.8), value=(0.1, 0.5), gloss=(0.8, 2.0), sharpness=(30.0, 150.0)),
    "dark": _M(saturation=(0.0, 0.2), value=(0.03, 0.15), gloss=(0.1, 0.8)),
    "marble": _M(saturation=(0.0, 0.25), value=(0.4, 0.95), second=(0.3, 0.8), cell_v=(0.1, 0.5), checker=(0.3, 0.7),
        bend=(0.1, 0.3),
                 bend_size=(0.15, 0.5), turn=(0.0, 3.0), noise=(0.1, 0.4), gloss=(0.2, 0.8), sharpness=(30.0, 100.0)),
    "cloth": _M(**_ANY, noise=(0.1, 0.4), grain=(0.015, 0.08), cell_u=(0.008, 0.02), cell_v=(0.008, 0.02),
        checker=(0.0, 0.5)),
    "velvet": _M(**_ANY, noise=(0.2, 0.6), grain=(0.08, 0.3)),
    "leather": _M(hue=(0.0, 0.12), saturation=(0.2, 0.7), value=(0.08, 0.5), gloss=(0.1, 0.5), sharpness=(6.0, 20.0),
        noise=(0.1, 0.3)),
    "plaid": _M(**_ANY, fresh=(0.5, 0.5), cell_u=(0.05, 0.2), cell_v=(0.05, 0.2), checker=(0.4, 1.0), vary=(0.0, 0.3),
        joint=(0.01, 0.03), line=(0.0, 1.0)),
    "striped cloth": _M(**_ANY, fresh=(0.5, 0.5), cell_v=(0.03, 0.2), checker=(0.5, 1.0), turn=(0.0, 1.6), noise=(0.0,
        0.3)),
    "folds": _M(**_ANY, second=(0.4, 0.8), cell_u=(0.05, 0.14), checker=(0.4, 0.8), bend=(0.0, 0.03)),
    "ribs": _M(saturation=(0.0, 0.1), value=(0.6, 0.95), second=(0.4, 0.7), cell_u=(0.04, 0.09), checker=(0.5, 1.0),
        gloss=(0.0, 0.4)),
    "dots": _M(**_ANY, second=(0.4, 1.3), fresh=(0.7, 0.7), speckle=(0.15, 0.5), speckle_size=(0.02, 0.12),
        gloss=(0.0, 0.4)),
    "stripes": _M(**_ANY, fresh=(0.7, 0.7), cell_v=(0.03, 0.15), checker=(0.7, 1.0), turn=(0.0, 1.6), gloss=(0.0, 0.4)),
    "checks": _M(**_ANY, fresh=(0.7, 0.7), cell_u=(0.03, 0.15), cell_v=(0.03, 0.15), checker=(0.7, 1.0), turn=(0.0,
        1.6), gloss=(0.0, 0.4)),
    "cardboard": _M(hue=(0.06, 0.11), saturation=(0.3, 0.55), value=(0.45, 0.75), noise=(0.05, 0.2), cell_u=(0.2,
        0.5), joint=(0.02, 0.05), line=(0.0, 0.6)),
    "basket": _M(hue=(0.07, 0.12), saturation=(0.3, 0.6), value=(0.4, 0.8), cell_u=(0.03, 0.06), cell_v=(0.02, 0.04),
        checker=(0.6, 1.0)),
    "paper": _M(saturation=(0.0, 0.1), value=(0.8, 0.98), noise=(0.0, 0.1)),
    "cover": _M(saturation=(0.2, 0.9), value=(0.2, 0.9), fresh=(0.5, 0.5), cell_u=(0.05, 0.2), joint=(0.01, 0.03),
        line=(0.0, 1.0), gloss=(0.0, 0.3)),
    "books": _M(saturation=(0.1, 0.9), value=(0.2, 0.8), fresh=(1.0, 1.0), cell_u=(0.02, 0.05), checker=(0.4, 1.0),
        vary=(0.6, 1.5), joint=(0.003, 0.006), line=(0.3, 0.9)),
    "keys": _M(saturation=(0.0, 0.05), value=(0.85, 0.95), second=(0.02, 0.1), cell_u=(0.02, 0.03), joint=(0.008,
        0.012), line=(0.9, 1.0)),
    "leaves": _M(hue=(0.2, 0.4), saturation=(0.35, 0.85), value=(0.15, 0.55), second=(0.3, 0.7), noise=(0.6, 1.2),
        grain=(0.03, 0.1), speckle=(0.1, 0.5), speckle_size=(0.02, 0.06)),
    "flowers": _M(hue=(0.2, 0.4), saturation=(0.4, 0.8), value=(0.2, 0.5), fresh=(1.0, 1.0), noise=(0.3, 0.8),
        grain=(0.03, 0.08), speckle=(0.2, 0.6), speckle_size=(0.02, 0.05)),
    "skin": _M(hue=(0.03, 0.09), saturation=(0.25, 0.6), value=(0.25, 0.9)),
    "glow": _M(hue=(0.05, 0.16), saturation=(0.0, 0.4), value=(0.9, 1.0), glow=(0.8, 4.0)),
    "lamp cloth": _M(hue=(0.03, 0.16), saturation=(0.1, 0.6), value=(0.6, 0.95), glow=(0.0, 1.0), noise=(0.0, 0.2),
        grain=(0.02, 0.06)),
    "screen": _M(hue=(0.5, 0.7), saturation=(0.1, 0.8), value=(0.05, 0.6), fresh=(1.0, 1.0), cell_u=(0.08, 0.5),
        cell_v=(0.05, 0.3), checker=(0.0, 0.8), vary=(0.0, 1.0), glow=(0.0, 1.2), gloss=(0.2, 0.8)),
    "art": _M(saturation=(0.1, 0.9), value=(0.15, 0.95), fresh=(1.0, 1.0), cell_u=(0.05, 0.4), cell_v=(0.05, 0.4),
        checker=(0.2, 0.9), vary=(0.0, 0.9), noise=(0.0, 0.8), grain=(0.05, 0.3), bend=(0.0, 0.2), turn=(0.0, 3.0)),
    "tiles": _M(saturation=(0.0, 0.35), value=(0.3, 0.95), second=(0.3, 0.8), cell_u=(0.1, 0.6), cell_v=(0.1, 0.6),
        vary=(0.0, 0.25), joint=(0.004, 0.015), line=(0.7, 1.0), gloss=(0.05, 0.6), sharpness=(20.0, 100.0)),
    "checker tiles": _M(saturation=(0.0, 0.5), value=(0.5, 0.95), second=(0.1, 0.7), cell_u=(0.25, 0.5), cell_v=(0.25,
        0.5), checker=(0.6, 1.0), turn=(0.0, 0.8), gloss=(0.05, 0.5), sharpness=(20.0, 100.0)),
    "carpet": _M(saturation=(0.05, 0.6), value=(0.15, 0.7), noise=(0.2, 0.5), grain=(0.02, 0.06), speckle=(0.0, 0.3),
        speckle_size=(0.008, 0.03)),
    "concrete": _M(saturation=(0.0, 0.12), value=(0.3, 0.75), noise=(0.2, 0.5), grain=(0.2, 0.8), speckle=(0.0, 0.15),
        speckle_size=(0.01, 0.03)),
    "terrazzo": _M(saturation=(0.0, 0.2), value=(0.5, 0.9), fresh=(0.4, 0.4), speckle=(0.15, 0.4), speckle_size=(0.02,
        0.07), gloss=(0.1, 0.5)),
    "rug": _M(saturation=(0.2, 0.8), value=(0.2, 0.8), fresh=(0.6, 0.6), cell_u=(0.1, 0.7), cell_v=(0.1, 0.7),
        checker=(0.0, 0.9), vary=(0.0, 0.5), noise=(0.1, 0.4), grain=(0.03, 0.1), joint=(0.02, 0.06), line=(0.0, 0.8),
        bend=(0.0, 0.05), turn=(0.0, 1.6)),
    "plaster": _M(saturation=(0.0, 0.35), value=(0.55, 0.97), second=(0.85, 1.0), noise=(0.0, 0.12), grain=(0.2, 0.8)),
    "colour wall": _M(saturation=(0.2, 0.65), value=(0.3, 0.85), noise=(0.0, 0.12), grain=(0.2, 0.8)),
    "striped wall": _M(saturation=(0.0, 0.4), value=(0.5, 0.95), second=(0.7, 0.92), cell_u=(0.06, 0.3), checker=(0.5,
        1.0)),
    "flowered wall": _M(saturation=(0.05, 0.45), value=(0.5, 0.9), fresh=(0.3, 0.3), speckle=(0.1, 0.3),
        speckle_size=(0.06, 0.2), noise=(0.0, 0.2)),
    "bricks": _M(hue=(0.0, 0.08), saturation=(0.1, 0.65), value=(0.3, 0.85), second=(0.6, 1.2), cell_u=(0.2, 0.26),
        cell_v=(0.06, 0.09), shift=(1.0, 1.0), vary=(0.1, 0.5), joint=(0.008, 0.014), line=(0.8, 1.0), noise=(0.1,
        0.3)),
    "panels": _M(hue=(0.04, 0.12), saturation=(0.1, 0.6), value=(0.3, 0.85), second=(0.5, 0.75), cell_u=(0.1, 0.2),
        joint=(0.006, 0.015), line=(0.7, 1.0), vary=(0.05, 0.3), noise=(0.05, 0.2)),
    "ceiling": _M(saturation=(0.0, 0.1), value=(0.75, 0.98), second=(0.85, 0.95), noise=(0.0, 0.06)),
    "sky": _M(hue=(0.5, 0.62), saturation=(0.02, 0.4), value=(0.85, 1.0), second=(0.5, 1.0), cell_u=(0.3, 0.8),
        cell_v=(0.3, 1.2), joint=(0.03, 0.06), line=(0.3, 1.0), noise=(0.1, 0.5), grain=(0.3, 0.8), glow=(0.3, 2.5)),
    "night": _M(hue=(0.55, 0.7), saturation=(0.2, 0.7), value=(0.02, 0.12), second=(6.0, 9.0), cell_u=(0.3, 0.8),
        cell_v=(0.3, 1.2), joint=(0.03, 0.06), line=(0.5, 1.0), gloss=(0.3, 0.8)),
    "door": _M(hue=(0.04, 0.12), saturation=(0.0, 0.65), value=(0.25, 0.95), second=(0.5, 0.85), cell_u=(0.35, 0.5),
        cell_v=(0.6, 1.1), joint=(0.02, 0.05), line=(0.3, 0.9), gloss=(0.0, 0.4)),
}
# fmt: on
NUMBER = {name: number for number, name in enumerate(MATERIALS)}
_WILD = ("gloss", "dots", "stripes", "checks", "art", "marble", "tiles", "bricks", "glow", "rug", "velvet", "metal")


def draw_materials(
    dice: Dice, number_BK: Tensor, wild_BK: Tensor, materials: dict[str, Material] = MATERIALS
) -> tuple[Tensor, Tensor]:
    """Draw materials, B x K x WIDTH and B x K x FINISH, by their number in ``materials``; wild ones become any of the
    striking materials of ``MATERIALS`` in any colour."""
    device, count = number_BK.device, number_BK.shape[1]
    striking = torch.tensor([NUMBER[name] for name in _WILD], device=device)
    number = torch.where(wild_BK, striking[dice.integer(count, count=len(_WILD))], number_BK)
    low, high = torch.tensor([astuple(m) for m in materials.values()], device=device)[number].unbind(-1)
    unit = dice.uniform(count, len(_NAMES))
    # Sizes spread evenly over their logarithm; other numbers evenly.
    log = torch.tensor([name in _LOGARITHMIC for name in _NAMES], device=device)
    safe = low.clamp(min=1e-6)
    value = torch.where(log, safe * (high.clamp(min=1e-6) / safe).pow(unit), low + (high - low) * unit)
    drawn = dict(zip(_NAMES, value.unbind(-1), strict=True))
    any_hue, any_strength = dice.uniform(count), dice.uniform(count, low=0.3, high=1.0)
    base = hsv(
        torch.where(wild_BK, any_hue, drawn["hue"]),
        torch.where(wild_BK, any_strength, drawn["saturation"]),
        drawn["value"],
    )
    other = hsv(dice.uniform(count), dice.uniform(count, low=0.1, high=0.9), dice.uniform(count, low=0.1, high=0.95))
    fresh = dice.uniform(count) < drawn["fresh"]
    second = torch.where(fresh[..., None], other, (base * drawn["second"][..., None]).clamp(max=1.0))
    rows = pack(
        base,
        second,
        salt=dice.integer(count, count=4096).float(),
        **{
            key: drawn[key]
            for key in ("cell_u", "cell_v", "shift", "joint", "checker", "vary", "noise", "grain", "line")
        },
    )
    drawn["cos"], drawn["sin"] = drawn["turn"].cos(), drawn["turn"].sin()
    return rows, torch.stack([drawn[name] for name in FINISH], dim=-1)
