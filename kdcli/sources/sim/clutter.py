"""Round and small things of ``interiors``: on the floor, on furniture, from the ceiling. Data; ``kinds`` builds it."""

from __future__ import annotations

from kdcli.sources.sim.kinds import NOTHING, Kind, Part, Site, Six, part

_PLAIN = ("plastic", "paint", "gloss", "ceramic")
_GAY = ("plastic", "gloss", "dots", "stripes", "checks")
_POLE = ("metal", "dark", "oak")
_SHADE = ("glow", "lamp cloth", "paper")


def _ring(shape: str, x: float, y0: float, y1: float, look: int = 0, metres: Six = NOTHING) -> Part:
    """Return an upright round part of half width x between two heights, as fractions of the size."""
    return part(shape, (-x, x, y0, y1, -x, x), metres, look)


def _pole(width: float, y0: float = 0.0, y1: float = 1.0, look: int = 0) -> Part:
    return part("can", (0, 0, y0, y1, 0, 0), (-width, width, 0, 0, -width, width), look)


def _leaf(yaw: float, roll: float) -> Part:
    """Return a blade that leans out from the middle."""
    return part("ball", (-0.1, 0.1, 0.25, 1.0, -0.04, 0.04), NOTHING, 1, tilt=(yaw, 0, roll))


# fmt: off
STANDING: tuple[Kind, ...] = (
    Kind(name="round table", low=(0.6, 0.68, 0.6), high=(1.3, 0.78, 1.3), square=True, weight=1.4,
         parts=(_ring("can", 0.5, 1, 1, 0, (0, 0, -0.04, 0, 0, 0)), _pole(0.05, 0, 0.96, 1), _ring("shade", 0.28, 0,
         0.06, 1)),
         looks=(("oak", "dark wood", "marble", "gloss"), _POLE),
         sites=tuple(Site(area=(x, x + 0.32, z, z + 0.32)) for x in (-0.32, 0.0) for z in (-0.32, 0.0))),
    Kind(name="stool", low=(0.3, 0.4, 0.3), high=(0.45, 0.8, 0.45), square=True, weight=1.2,
         parts=(_ring("barrel", 0.5, 1, 1, 0, (0, 0, -0.09, 0, 0, 0)), _pole(0.03, 0, 0.95, 1), _ring("dome", 0.45, 0,
         0.06, 1)),
         looks=(("leather", "oak", "plastic", "cloth"), _POLE)),
    Kind(name="office chair", low=(0.5, 0.9, 0.5), high=(0.62, 1.2, 0.62), square=True, weight=0.8,
         parts=(_ring("barrel", 0.46, 0.42, 0.52), _pole(0.03, 0, 0.45, 1), _ring("dome", 0.5, 0, 0.09, 1),
                part("box", (-0.42, 0.42, 0.56, 1, -0.5, -0.38), NOTHING, 0, tilt=(0, 10, 0)),
                part("box", (-0.05, 0.05, 0.45, 0.7, -0.48, -0.42), NOTHING, 1)),
         looks=(("leather", "cloth", "velvet", "plastic"), ("metal", "dark"))),
    Kind(name="floor lamp", low=(0.3, 1.3, 0.3), high=(0.5, 1.9, 0.5), square=True, weight=1.2,
         parts=(_ring("dome", 0.4, 0, 0.03, 1), _pole(0.014, 0, 0.85, 1), _ring("shade", 0.5, 0.78, 1)),
         looks=(_SHADE, _POLE)),
    Kind(name="plant", low=(0.4, 0.6, 0.4), high=(0.9, 1.9, 0.9), square=True, weight=1.5,
         parts=(_ring("pot", 0.3, 0, 0.28), _pole(0.02, 0.25, 0.6, 2), _ring("ball", 0.5, 0.4, 1, 1),
                part("ball", (-0.45, 0.2, 0.35, 0.7, -0.2, 0.45), NOTHING, 1, tilt=(0, 20, 10))),
         looks=(("ceramic", "plastic", "bricks", "dots"), ("leaves",), ("dark wood",))),
    Kind(name="palm", low=(0.5, 0.8, 0.5), high=(1.0, 1.8, 1.0), square=True,
         parts=(_ring("pot", 0.22, 0, 0.3), _leaf(0, 35), _leaf(120, 35), _leaf(240, 35), _leaf(60, 8)),
         looks=(("ceramic", "plastic", "gloss"), ("leaves",))),
    Kind(name="pouf", low=(0.4, 0.3, 0.4), high=(0.8, 0.5, 0.8), square=True,
         parts=(_ring("barrel", 0.5, 0, 1),), looks=(("cloth", "leather", "velvet", "plaid", "checks"),)),
    Kind(name="beanbag", low=(0.7, 0.55, 0.7), high=(1.0, 0.9, 1.0), square=True, weight=0.7,
         parts=(_ring("dome", 0.5, 0, 1), part("ball", (-0.45, 0.45, 0.3, 0.8, -0.5, 0.1), NOTHING, tilt=(0, 30, 0))),
         looks=(("velvet", "leather", "cloth", "dots"),)),
    Kind(name="big ball", low=(0.2, 0.2, 0.2), high=(0.7, 0.7, 0.7), cube=True, weight=0.8, parts=(part("ball"),),
         looks=(_GAY,)),
    Kind(name="bin", low=(0.22, 0.28, 0.22), high=(0.4, 0.65, 0.4), square=True,
         parts=(_ring("pot", 0.5, 0, 0.95), _ring("can", 0.44, 0.9, 0.96, 1)), looks=(("metal", "plastic", "basket"),
         ("dark",))),
    Kind(name="floor vase", low=(0.25, 0.5, 0.25), high=(0.45, 1.1, 0.45), square=True, weight=0.7,
         parts=(_ring("barrel", 0.5, 0, 0.7), _ring("shade", 0.38, 0.62, 0.95), _ring("bowl", 0.28, 0.9, 1)),
         looks=(("ceramic", "gloss", "stripes", "marble"),)),
    Kind(name="figure", low=(0.4, 0.9, 0.28), high=(0.6, 1.85, 0.4), weight=0.8,
         parts=(part("barrel", (-0.3, 0.3, 0, 0.52, -0.3, 0.3), NOTHING, 1), part("barrel", (-0.5, 0.5, 0.48, 0.84,
         -0.4, 0.4)),
                part("ball", (-0.2, 0.2, 0.85, 1, -0.32, 0.32), NOTHING, 2),
                part("can", (-0.66, -0.46, 0.42, 0.82, -0.2, 0.2), NOTHING, 0, tilt=(0, 0, -8)),
                part("can", (0.46, 0.66, 0.42, 0.82, -0.2, 0.2), NOTHING, 0, tilt=(0, 15, 8))),
         looks=(("cloth", "plaid", "striped cloth", "plastic"), ("cloth", "leather"), ("skin", "plastic", "oak"))),
    Kind(name="traffic cone", low=(0.3, 0.4, 0.3), high=(0.45, 0.8, 0.45), square=True, weight=0.4,
         parts=(part("box", (-0.5, 0.5, 0, 0.06, -0.5, 0.5)), _ring("cone", 0.42, 0.05, 1)), looks=(("stripes",
         "plastic"),)),
    Kind(name="ladder", low=(0.45, 1.4, 0.5), high=(0.6, 2.0, 0.8), weight=0.5, wall=True,
         parts=(part("box", (-0.5, -0.5, 0, 1, -0.05, -0.05), (0, 0.05, 0, 0, 0, 0.04), tilt=(0, -14, 0)),
                part("box", (0.5, 0.5, 0, 1, -0.05, -0.05), (-0.05, 0, 0, 0, 0, 0.04), tilt=(0, -14, 0)),
                *(part("box", (-0.5, 0.5, y, y, z, z), (0, 0, 0, 0.04, -0.02, 0.02)) for y, z in ((0.2, 0.13), (0.45,
                0.0), (0.7, -0.14)))),
         looks=(("oak", "metal", "paint"),)),
    Kind(name="toilet", low=(0.36, 0.75, 0.6), high=(0.42, 0.85, 0.7), wall=True, weight=0.2,
         parts=(part("box", (-0.5, 0.5, 0.45, 1, -0.5, -0.2)), part("pot", (-0.45, 0.45, 0, 0.5, -0.3, 0.5)),
                part("can", (-0.48, 0.48, 0.5, 0.54, -0.3, 0.52), NOTHING, 1)),
         looks=(("ceramic",), ("ceramic", "oak", "dark"))),
    Kind(name="coat stand", low=(0.4, 1.5, 0.4), high=(0.6, 1.9, 0.6), square=True, weight=0.6,
         parts=(_ring("dome", 0.45, 0, 0.03), _pole(0.02), part("ball", (-0.45, 0.05, 0.45, 0.95, -0.2, 0.2), NOTHING,
         1, tilt=(20, 0, 6)),
                part("can", (-0.4, 0.4, 0.95, 0.95, 0, 0), (0, 0, -0.015, 0.015, -0.015, 0.015), tilt=(40, 0, 0))),
         looks=(_POLE, ("cloth", "plaid", "leather"))),
)

HANGING: tuple[Kind, ...] = (
    Kind(name="pendant lamp", low=(0.25, 0.5, 0.25), high=(0.6, 1.0, 0.6), square=True, weight=1.2,
         parts=(_ring("shade", 0.5, 0, 0.35), _pole(0.008, 0.3, 1, 1)), looks=(("glow", "lamp cloth", "metal"), _POLE)),
    Kind(name="globe lamp", low=(0.2, 0.4, 0.2), high=(0.5, 0.8, 0.5), square=True,
         parts=(part("ball", (-0.5, 0.5, 0, 0.5, -0.5, 0.5)), _pole(0.008, 0.4, 1, 1)), looks=(("glow", "paper",
         "glow"), _POLE)),
    Kind(name="ceiling fan", low=(0.9, 0.3, 0.9), high=(1.3, 0.5, 1.3), square=True, weight=0.6,
         parts=(part("box", (-0.5, 0.5, 0.1, 0.14, -0.06, 0.06), NOTHING, 0, tilt=(0, 8, 0)),
                part("box", (-0.06, 0.06, 0.1, 0.14, -0.5, 0.5), NOTHING, 0, tilt=(0, 0, 8)),
                _ring("barrel", 0.1, 0, 0.3, 1), _pole(0.015, 0.2, 1, 1)), looks=(("oak", "paint", "dark wood"),
                ("metal", "dark"))),
)

SMALL: tuple[Kind, ...] = (
    Kind(name="bottle", low=(0.06, 0.2, 0.06), high=(0.11, 0.34, 0.11), square=True, weight=1.5,
         parts=(_ring("can", 0.5, 0, 0.65), _ring("shade", 0.5, 0.65, 0.85), _ring("can", 0.2, 0.65, 1, 1)),
         looks=(("glass", "plastic", "gloss"), ("dark", "paint", "glass"))),
    Kind(name="cup", low=(0.07, 0.07, 0.07), high=(0.12, 0.13, 0.12), square=True,
         parts=(_ring("pot", 0.5, 0, 1), _ring("can", 0.4, 0.9, 1.005, 1)), looks=(("ceramic", "dots", "stripes"),
         ("dark",))),
    Kind(name="bowl", low=(0.14, 0.07, 0.14), high=(0.34, 0.16, 0.34), square=True,
         parts=(_ring("bowl", 0.5, 0, 0.8), part("ball", (-0.2, 0.14, 0.6, 1.1, -0.16, 0.2), NOTHING, 1)),
         looks=(_PLAIN, ("plastic", "dots"))),
    Kind(name="vase", low=(0.1, 0.18, 0.1), high=(0.22, 0.42, 0.22), square=True, weight=1.2,
         parts=(_ring("barrel", 0.5, 0, 0.5), _ring("pot", 0.3, 0.4, 0.6), part("ball", (-0.5, 0.5, 0.55, 1, -0.5,
         0.5), NOTHING, 1)),
         looks=(("ceramic", "gloss", "stripes", "glass"), ("leaves", "flowers"))),
    Kind(name="jug", low=(0.1, 0.16, 0.1), high=(0.2, 0.3, 0.2), square=True, weight=0.6,
         parts=(_ring("barrel", 0.5, 0, 1), part("box", (0.4, 0.75, 0.3, 0.8, -0.06, 0.06), NOTHING, 1)),
         looks=(_PLAIN, ("dark", "metal"))),
    Kind(name="book", low=(0.14, 0.02, 0.2), high=(0.24, 0.06, 0.32), weight=0.8, parts=(part("box"),),
         looks=(("cover",),)),
    Kind(name="stack of books", low=(0.15, 0.08, 0.2), high=(0.24, 0.2, 0.3), weight=1.2,
         parts=(part("box", (-0.5, 0.5, 0, 0.4, -0.5, 0.5)), part("box", (-0.45, 0.45, 0.4, 0.75, -0.45, 0.45),
         NOTHING, 1, tilt=(15, 0, 0)),
                part("box", (-0.4, 0.4, 0.75, 1, -0.4, 0.4), NOTHING, 2, tilt=(-25, 0, 0))), looks=(("cover",),) * 3),
    Kind(name="row of books", low=(0.2, 0.18, 0.14), high=(0.5, 0.3, 0.22), weight=1.8,
         parts=(part("box", (-0.5, 0.36, 0, 1, -0.5, 0.5)), part("box", (0.38, 0.5, 0, 0.94, -0.5, 0.5), NOTHING, 1,
         tilt=(0, 0, 9))),
         looks=(("books",), ("cover",))),
    Kind(name="box", low=(0.12, 0.08, 0.12), high=(0.4, 0.3, 0.35), weight=1.4,
         parts=(part("box"),), looks=(("cardboard", "gloss", "stripes", "checks", "plastic", "dots"),)),
    Kind(name="table lamp", low=(0.18, 0.3, 0.18), high=(0.36, 0.6, 0.36), square=True, weight=1.2,
         parts=(_ring("dome", 0.35, 0, 0.2, 1), _pole(0.012, 0, 0.65, 1), _ring("shade", 0.5, 0.55, 1)),
         looks=(_SHADE, (*_POLE, "ceramic"))),
    Kind(name="small plant", low=(0.12, 0.18, 0.12), high=(0.3, 0.45, 0.3), square=True,
         parts=(_ring("pot", 0.35, 0, 0.4), _ring("ball", 0.5, 0.3, 1, 1)), looks=(("ceramic", "plastic", "dots"),
         ("leaves", "flowers"))),
    Kind(name="laptop", low=(0.3, 0.22, 0.22), high=(0.4, 0.28, 0.28), weight=0.7,
         parts=(part("box", (-0.5, 0.5, 0, 0, -0.5, 0.5), (0, 0, 0, 0.02, 0, 0)),
                part("box", (-0.5, 0.5, 0.04, 1, -0.55, -0.55), (0, 0, 0, 0, -0.01, 0.01), 1, tilt=(0, 12, 0))),
                looks=(("metal", "dark"), ("screen", "dark"))),
    Kind(name="monitor", low=(0.4, 0.35, 0.16), high=(0.75, 0.55, 0.22), weight=0.8,
         parts=(part("box", (-0.5, 0.5, 0.22, 1, 0, 0), (0, 0, 0, 0, -0.015, 0.015)), part("can", (-0.3, 0.3, 0, 0.03,
         -0.5, 0.5), NOTHING, 1),
                part("box", (-0.05, 0.05, 0, 0.5, 0, 0), (0, 0, 0, 0, -0.03, -0.016), 1)), looks=(("screen", "dark",
                "art"), ("dark", "metal"))),
    Kind(name="fruit", low=(0.07, 0.07, 0.07), high=(0.14, 0.13, 0.14), square=True, weight=0.8, parts=(_ring("ball",
         0.5, 0, 1),), looks=(("plastic", "dots"),)),
    Kind(name="ball", low=(0.08, 0.08, 0.08), high=(0.26, 0.26, 0.26), cube=True, parts=(part("ball"),), looks=(_GAY,)),
    Kind(name="teddy", low=(0.2, 0.28, 0.18), high=(0.32, 0.45, 0.26), weight=0.4,
         parts=(part("ball", (-0.5, 0.5, 0, 0.62, -0.5, 0.5)), part("ball", (-0.36, 0.36, 0.55, 1, -0.4, 0.4)),
                part("ball", (-0.5, -0.22, 0.85, 1.08, -0.15, 0.15), NOTHING, 1), part("ball", (0.22, 0.5, 0.85, 1.08,
                -0.15, 0.15), NOTHING, 1),
                part("ball", (-0.18, 0.18, 0.6, 0.78, 0.2, 0.6), NOTHING, 1)), looks=(("velvet", "cloth", "plastic"),
                ("cloth", "paper"))),
    Kind(name="clock", low=(0.18, 0.2, 0.08), high=(0.3, 0.32, 0.12), weight=0.6,
         parts=(part("can", (-0.5, 0.5, 0.1, 0.9, -0.5, 0.5), NOTHING, 1, tilt=(0, 90, 0)), part("box", (-0.4, 0.4, 0,
         0.14, -0.5, 0.5))),
         looks=(_POLE, ("paper", "dots"))),
    Kind(name="photo", low=(0.12, 0.16, 0.08), high=(0.26, 0.32, 0.12), weight=0.8,
         parts=(part("box", (-0.5, 0.5, 0, 1, 0, 0), (0, 0, 0, 0, -0.01, 0.01), tilt=(0, 15, 0)),), looks=(("art",),)),
    Kind(name="cushion", low=(0.35, 0.12, 0.35), high=(0.5, 0.2, 0.5), weight=0.8, parts=(part("barrel"),),
         looks=(("cloth", "plaid", "velvet", "dots"),)),
    Kind(name="candle", low=(0.06, 0.1, 0.06), high=(0.1, 0.25, 0.1), square=True, weight=0.6,
         parts=(_ring("can", 0.4, 0, 0.85), _ring("cone", 0.16, 0.85, 1, 1), _ring("dome", 0.8, 0, 0.06)),
         looks=(("paper", "plastic"), ("glow",))),
    Kind(name="pyramid", low=(0.1, 0.12, 0.1), high=(0.3, 0.4, 0.3), square=True, weight=0.5, parts=(_ring("cone",
         0.5, 0, 1),), looks=(_GAY,)),
    Kind(name="roll", low=(0.4, 0.12, 0.12), high=(0.8, 0.2, 0.2), weight=0.5,
         parts=(part("can", (-0.1, 0.1, 0, 0, -0.5, 0.5), (0, 0, -0.22, 0.36, 0, 0), tilt=(0, 0, 90)),),
         looks=(("striped cloth", "cardboard", "leather"),)),
)
