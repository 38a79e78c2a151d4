"""Furniture of ``interiors``: what stands on the floor, most of it of upright boxes. Data; ``kinds`` builds it."""

from __future__ import annotations

from kdcli.sources.sim.kinds import Kind, Part, Site, legs, part, row_of_sites

_HARD = ("oak", "dark wood", "paint", "gloss", "planks")
_SOFT = ("cloth", "plaid", "striped cloth", "leather", "velvet")
_LEG = ("metal", "dark wood", "oak", "paint")


def _top(thickness: float, look: int = 0) -> Part:
    return part("box", (-0.5, 0.5, 1, 1, -0.5, 0.5), (0, 0, -thickness, 0, 0, 0), look)


def _slab(y0: float, y1: float, inset: float = 0.0, look: int = 0) -> Part:
    """Return a box over the whole plan between two heights in metres."""
    return part("box", (-0.5, 0.5, 0, 0, -0.5, 0.5), (inset, -inset, y0, y1, inset, -inset), look)


def _back(y0: float, thickness: float, look: int = 0, inset: float = 0.0) -> Part:
    return part("box", (-0.5, 0.5, 0, 1, -0.5, -0.5), (inset, -inset, y0, 0, 0, thickness), look)


def _side(sign: int, top: float, thickness: float, look: int = 0, fraction: float = 0.0) -> Part:
    ends = (0.0, thickness) if sign < 0 else (-thickness, 0.0)
    return part("box", (sign * 0.5, sign * 0.5, 0, fraction, -0.5, 0.5), (*ends, 0, top, 0, 0), look)


def _front(y0: float, y1: float, look: int = 1, inset: float = 0.03, out: float = 0.02) -> Part:
    """Return a drawer or door that stands a little out of the front; y as fractions of the height."""
    return part("box", (-0.5, 0.5, y0, y1, 0.5, 0.5), (inset, -inset, 0.015, -0.015, -0.01, out), look)


_BOARDS = tuple(
    part("box", (-0.5, 0.5, y, y, -0.5, 0.5), (0.02, -0.02, m, m + 0.03, 0, -0.02))
    for y, m in ((0.0, 0.06), (0.33, 0.0), (0.66, 0.0), (1.0, -0.05))
)
_SHELF_SITES = tuple(
    site for y, m in ((0.0, 0.09), (0.33, 0.03), (0.66, 0.03)) for site in row_of_sites(2, y, m, gap=0.34)
)
_TABLE_SITES = tuple(
    Site(area=(x, x + 0.3, z, z + 0.42)) for x in (-0.45, -0.15, 0.15) for z in (-0.43, 0.01)
)

# fmt: off
FURNITURE: tuple[Kind, ...] = (
    Kind(name="table", low=(0.9, 0.7, 0.7), high=(2.0, 0.8, 1.05), parts=(_top(0.04), *legs(0.04, 0.06, -0.04, look=1)),
         looks=(_HARD, _LEG), sites=_TABLE_SITES),
    Kind(name="desk", low=(1.0, 0.7, 0.55), high=(1.8, 0.78, 0.8), wall=True,
         parts=(_top(0.03), _side(-1, -0.03, 0.03, 1, 1.0), _side(1, -0.03, 0.4, 1, 1.0), _front(0.55, 0.9, 2, 0.0,
         0.0),
                part("box", (0.5, 0.5, 0.1, 0.5, 0.5, 0.5), (-0.38, -0.02, 0, 0, 0, 0.02), 2)),
         looks=(_HARD, _HARD, _HARD), sites=_TABLE_SITES),
    Kind(name="low table", low=(0.6, 0.3, 0.45), high=(1.3, 0.5, 0.8), parts=(_top(0.05), *legs(0.02, 0.05, -0.05,
         look=1)),
         looks=((*_HARD, "marble"), _LEG), sites=row_of_sites(3)),
    Kind(name="chair", low=(0.4, 0.8, 0.4), high=(0.52, 1.02, 0.5), weight=1.2,
         parts=(_slab(0.41, 0.46), part("box", (-0.5, 0.5, 0, 1, -0.5, -0.5), (0.02, -0.02, 0.52, 0, 0, 0.04), 0),
                *legs(0.01, 0.04, 0.41, 0.0, 1)),
         looks=((*_HARD, *_SOFT), _LEG)),
    Kind(name="armchair", low=(0.7, 0.75, 0.7), high=(1.0, 1.05, 0.95),
         parts=(_slab(0.04, 0.42, 0.03), _back(0.05, 0.2), _side(-1, 0.6, 0.15), _side(1, 0.6, 0.15),
                part("barrel", (-0.5, 0.5, 0, 0, -0.5, 0.5), (0.16, -0.16, 0.4, 0.5, 0.2, -0.02), 1)),
         looks=(_SOFT, _SOFT)),
    Kind(name="sofa", low=(1.4, 0.7, 0.8), high=(2.6, 0.95, 1.0), wall=True, weight=1.2,
         parts=(_slab(0.05, 0.43, 0.02), _back(0.05, 0.22), _side(-1, 0.62, 0.18), _side(1, 0.62, 0.18),
                part("barrel", (-0.3, -0.3, 0, 0, -0.5, -0.5), (-0.22, 0.22, 0.4, 0.8, 0.2, 0.36), 1, tilt=(0, 20, 0)),
                part("barrel", (0.3, 0.3, 0, 0, -0.5, -0.5), (-0.2, 0.2, 0.4, 0.75, 0.22, 0.36), 2, tilt=(15, 25, 5))),
         looks=(_SOFT, _SOFT, _SOFT)),
    Kind(name="bed", low=(0.9, 0.7, 1.9), high=(1.9, 1.2, 2.15), wall=True,
         parts=(part("box", (-0.5, 0.5, 0, 0, -0.5, 0.5), (0, 0, 0.06, 0.3, 0.03, 0)), _slab(0.29, 0.48, 0.03, 2),
                _back(0.0, 0.05), part("box", (-0.5, 0.5, 0, 0, -0.1, 0.5), (0, 0, 0.2, 0.53, 0, -0.02), 1),
                part("barrel", (-0.25, -0.25, 0, 0, -0.5, -0.5), (-0.2, 0.2, 0.46, 0.62, 0.1, 0.5), 2),
                part("barrel", (0.25, 0.25, 0, 0, -0.5, -0.5), (-0.2, 0.2, 0.46, 0.62, 0.1, 0.5), 2)),
         looks=((*_HARD, "velvet"), _SOFT, ("paper", "cloth", "striped cloth")),
         sites=(Site(area=(-0.4, 0.4, 0.1, 0.4), level=0.0, metres=0.53),)),
    Kind(name="shelf", low=(0.6, 1.2, 0.25), high=(1.4, 2.2, 0.4), wall=True, weight=1.6,
         parts=(_side(-1, 0.0, 0.03, 0, 1.0), _side(1, 0.0, 0.03, 0, 1.0), *_BOARDS), looks=(_HARD,),
         sites=_SHELF_SITES),
    Kind(name="bookcase", low=(0.7, 1.4, 0.25), high=(1.5, 2.2, 0.35), wall=True, weight=1.2,
         parts=(_back(0.0, 0.05), _side(-1, 0.0, 0.03, 0, 1.0), _side(1, 0.0, 0.03, 0, 1.0),
                *(part("box", (-0.5, 0.5, y, y + 0.27, -0.5, 0.5), (0.04, -0.04, 0.0, 0.0, 0.04, -0.05), 1)
                  for y in (0.05, 0.36, 0.67))),
         looks=(_HARD, ("books",)), sites=row_of_sites(2)),
    Kind(name="wardrobe", low=(0.8, 1.7, 0.5), high=(2.0, 2.3, 0.65), wall=True,
         parts=(part("box", (-0.5, 0.5, 0, 1, -0.5, 0.5), (0, 0, 0.05, 0, 0, 0)),
                part("box", (-0.5, 0, 0, 1, 0.5, 0.5), (0.02, -0.01, 0.1, -0.04, -0.01, 0.02), 1),
                part("box", (0, 0.5, 0, 1, 0.5, 0.5), (0.01, -0.02, 0.1, -0.04, -0.01, 0.02), 1),
                part("box", (0, 0, 0.5, 0.5, 0.5, 0.5), (-0.07, -0.05, -0.1, 0.1, 0.01, 0.05), 2),
                part("box", (0, 0, 0.5, 0.5, 0.5, 0.5), (0.05, 0.07, -0.1, 0.1, 0.01, 0.05), 2)),
         looks=(_HARD, (*_HARD, "art"), ("metal",))),
    Kind(name="drawers", low=(0.6, 0.7, 0.4), high=(1.4, 1.2, 0.55), wall=True, weight=1.2,
         parts=(part("box"), _front(0.05, 0.33), _front(0.36, 0.64), _front(0.67, 0.95)),
         looks=(_HARD, _HARD), sites=row_of_sites(4)),
    Kind(name="screen stand", low=(0.9, 0.9, 0.35), high=(1.8, 1.5, 0.5), wall=True,
         parts=(_slab(0.0, 0.45), part("box", (-0.15, 0.15, 0, 0, -0.1, 0.2), (0, 0, 0.44, 0.47, 0, 0), 2),
                part("box", (-0.4, 0.4, 0, 1, 0, 0), (0, 0, 0.5, 0, -0.02, 0.02), 1),
                part("box", (0, 0, 0, 0, 0, 0), (-0.04, 0.04, 0.45, 0.6, -0.03, -0.015), 2)),
         looks=(_HARD, ("screen", "art", "dark"), ("dark", "metal")),
         sites=(Site(area=(-0.48, -0.2, 0.05, 0.45), level=0, metres=0.45, gap=0.4),)),
    Kind(name="kitchen counter", low=(1.0, 0.85, 0.55), high=(2.8, 0.95, 0.65), wall=True,
         parts=(part("box", (-0.5, 0.5, 0, 1, -0.5, 0.5), (0, 0, 0.08, -0.04, 0, -0.03)), _top(0.04, 1),
                part("box", (-0.5, 0.5, 0, 0, -0.5, 0.5), (0.03, -0.03, 0, 0.09, 0, -0.08), 2),
                part("box", (-0.45, -0.05, 0.2, 0.85, 0.5, 0.5), (0, 0, 0, 0, -0.03, -0.01), 2),
                part("box", (0.02, 0.45, 0.2, 0.85, 0.5, 0.5), (0, 0, 0, 0, -0.03, -0.01), 2)),
         looks=(_HARD, ("marble", "oak", "metal"), (*_HARD, "dark")), sites=row_of_sites(5)),
    Kind(name="fridge", low=(0.55, 1.4, 0.55), high=(0.9, 2.0, 0.75), wall=True, weight=0.6,
         parts=(part("box", look=0), _front(0.02, 0.35, 1, 0.01), _front(0.37, 0.98, 1, 0.01),
                part("box", (-0.5, -0.5, 0.45, 0.7, 0.5, 0.5), (0.05, 0.07, 0, 0, 0, 0.06), 2)),
         looks=(("gloss", "metal", "paint"), ("gloss", "metal", "paint"), ("metal", "dark")), sites=row_of_sites(1)),
    Kind(name="bench", low=(0.9, 0.4, 0.3), high=(1.8, 0.5, 0.45),
         parts=(_top(0.05), _side(-1, -0.05, 0.06, 1, 1.0), _side(1, -0.05, 0.06, 1, 1.0)),
         looks=(_HARD, _HARD), sites=row_of_sites(3)),
    Kind(name="crates", low=(0.35, 0.5, 0.3), high=(0.8, 1.3, 0.6), weight=0.8,
         parts=(part("box", (-0.5, 0.5, 0, 0.45, -0.5, 0.5)),
                part("box", (-0.45, 0.4, 0.45, 0.8, -0.45, 0.4), (0, 0, 0, 0, 0, 0), 1, tilt=(12, 0, 0)),
                part("box", (-0.3, 0.3, 0.8, 1, -0.35, 0.25), (0, 0, 0, 0, 0, 0), 2, tilt=(-20, 0, 0))),
         looks=(("cardboard", "planks", "plastic"),) * 3),
    Kind(name="radiator", low=(0.6, 0.5, 0.08), high=(1.6, 0.9, 0.14), wall=True, weight=0.8,
         parts=(part("box", (-0.5, 0.5, 0.15, 1, -0.2, 0.5)),
                part("box", (-0.45, -0.4, 0, 0.2, -0.1, 0.1), look=1), part("box", (0.4, 0.45, 0, 0.2, -0.1, 0.1),
                look=1)),
         looks=(("ribs",), ("metal",))),
    Kind(name="curtain", low=(0.5, 1.9, 0.1), high=(1.2, 2.4, 0.2), wall=True, weight=0.8,
         parts=(part("box", (-0.5, 0.5, 0.02, 1, -0.5, 0.3)), part("box", (-0.55, 0.55, 0.97, 0.99, 0.3, 0.5), look=1)),
         looks=(("folds",), _LEG)),
    Kind(name="bathtub", low=(0.7, 0.5, 1.5), high=(0.85, 0.65, 1.8), wall=True, weight=0.3,
         parts=(_side(-1, 0.0, 0.09, 0, 1.0), _side(1, 0.0, 0.09, 0, 1.0), _back(0.0, 0.1), _slab(0.0, 0.2, 0.02, 1),
                part("box", (-0.5, 0.5, 0, 1, 0.5, 0.5), (0, 0, 0, 0, -0.1, 0))),
         looks=(("ceramic",), ("ceramic",))),
    Kind(name="fireplace", low=(1.0, 1.0, 0.3), high=(1.6, 1.3, 0.5), wall=True, weight=0.4,
         parts=(_side(-1, 0.0, 0.25, 0, 1.0), _side(1, 0.0, 0.25, 0, 1.0), _top(0.06, 1), _back(0.0, 0.05, 2),
                part("box", (-0.5, 0.5, 0.7, 1, -0.5, 0.5), (0.1, -0.1, 0, -0.05, 0, -0.02))),
         looks=(("marble", "bricks", "paint"), ("marble", "oak"), ("dark", "glow")), sites=row_of_sites(4)),
    Kind(name="piano", low=(1.3, 1.1, 0.55), high=(1.5, 1.3, 0.7), wall=True, weight=0.3,
         parts=(part("box", (-0.5, 0.5, 0, 1, -0.5, 0.05)), part("box", (-0.5, 0.5, 0.5, 0.62, 0, 0.5)),
                part("box", (-0.46, 0.46, 0.62, 0.62, 0.1, 0.48), (0, 0, 0, 0.015, 0, 0), 1),
                part("box", (-0.48, -0.42, 0, 0.5, 0.3, 0.45)), part("box", (0.42, 0.48, 0, 0.5, 0.3, 0.45))),
         looks=(("gloss", "dark wood", "dark"), ("keys",)), sites=row_of_sites(2)),
    Kind(name="steps", low=(0.5, 0.5, 0.6), high=(0.9, 0.9, 0.9), wall=True, weight=0.3,
         parts=(part("box", (-0.5, 0.5, 0, 0.333, -0.5, 0.5)), part("box", (-0.5, 0.5, 0.333, 0.667, -0.5, 0.16)),
                part("box", (-0.5, 0.5, 0.667, 1, -0.5, -0.17))),
         looks=(_HARD,), sites=row_of_sites(1, 1.0)),
)
