"""Objects of ``streets``: vehicles, plants, people, poles and signs. Data; ``kinds`` builds it.

Vehicles are up to four upright boxes, a cabin that narrows upwards, and axles; the rest are parts in any pose.
"""

from __future__ import annotations

from kdcli.sources.sim.kinds import NOTHING, Kind, Part, Six, part

VEHICLE_BOXES, VEHICLE_PARTS, THING_PARTS = 4, 3, 5
"""Most upright boxes and other parts of a vehicle; most parts of any other thing."""
_COLOURS = (
    "dark paint",
    "dark paint",
    "grey paint",
    "grey paint",
    "white paint",
    "blue paint",
    "red paint",
    "any paint",
)
_LORRY = ("white paint", "any paint", "blue paint", "red paint", "grey paint")
_LEAVES = ("leaves", "leaves", "dark leaves", "autumn leaves")
_BARK, _STEEL = ("bark",), ("steel", "steel", "dark paint")

AXLES: dict[str, tuple[float, float, float]] = {
    "hatchback": (0.31, -0.32, 0.31),
    "saloon": (0.3, -0.3, 0.32),
    "estate": (0.31, -0.3, 0.32),
    "off-roader": (0.3, -0.3, 0.38),
    "van": (0.34, -0.31, 0.34),
    "lorry": (0.36, -0.26, 0.48),
    "bus": (0.3, -0.24, 0.48),
    "bicycle": (0.32, -0.32, 0.34),
    "motorcycle": (0.33, -0.33, 0.31),
}
"""Front and rear axle as fractions of the length, and the radius of the wheels in metres."""


def _box(y: tuple[float, float], z: tuple[float, float], look: int = 0, x: float = 0.5, metres: Six = NOTHING) -> Part:
    return part("box", (-x, x, *y, *z), metres, look)


def _cabin(y: float, z: tuple[float, float], taper: tuple[float, float], x: float = 0.485) -> Part:
    return Part(shape="taper", fraction=(-x, x, y, 1.0, *z), taper=taper)


def _car(waist: float, bonnet: float, cabin: Part) -> tuple[Part, ...]:
    """Return body, underbody, grille and tail of a car, and its cabin; heights as fractions."""
    return (
        _box((0.16, waist), (-0.49, bonnet)),
        _box((0.16, waist - 0.05), (bonnet - 0.02, 0.495)),
        _box((0.1, 0.34), (-0.5, 0.505), 1, 0.47),
        part("box", (-0.47, 0.47, waist - 0.16, waist - 0.04, -0.5, -0.48), (0, 0, 0, 0, -0.02, 0), 2),
        cabin,
    )


def _ball(x: float, y0: float, y1: float, look: int = 1, at: tuple[float, float] = (0.0, 0.0)) -> Part:
    """Return a crown of half width x between two heights, as fractions of the size; off the middle by ``at``."""
    dx, dz = at
    return Part(shape="ball", fraction=(dx - x, dx + x, y0, y1, dz - x, dz + x), look=look, ragged=0.5)


def _cone(x: float, y0: float, y1: float, look: int = 1) -> Part:
    return Part(shape="cone", fraction=(-x, x, y0, y1, -x, x), look=look, ragged=0.4)


def _round(shape: str, x: float, y0: float, y1: float, look: int = 0) -> Part:
    return part(shape, (-x, x, y0, y1, -x, x), NOTHING, look)


def _pole(metres: float, y1: float = 1.0, look: int = 0, x: float = 0.0) -> Part:
    return part("can", (x, x, 0, y1, 0, 0), (-metres, metres, 0, 0, -metres, metres), look)


def _trunk(metres: float, y1: float) -> Part:
    """Return a trunk that goes on into the ground, which may slope."""
    return part("can", (0, 0, -0.08, y1, 0, 0), (-metres, metres, 0, 0, -metres, metres))


def _sign(y0: float, y1: float, x: float = 0.5, look: int = 1) -> Part:
    """Return a plate in front of its pole."""
    return part("box", (-x, x, y0, y1, 0, 0), (0, 0, 0, 0, -0.09, -0.05), look)


# fmt: off
VEHICLES: tuple[Kind, ...] = (
    Kind(name="hatchback", low=(1.62, 1.4, 3.5), high=(1.82, 1.58, 4.3), weight=3.0,
         parts=_car(0.62, 0.26, _cabin(0.61, (-0.485, 0.3), (0.2, 0.36))), looks=(_COLOURS, ("rubber", "grille"),
         ("tail lights",))),
    Kind(name="saloon", low=(1.7, 1.38, 4.3), high=(1.88, 1.5, 4.9), weight=2.0,
         parts=_car(0.62, 0.28, _cabin(0.61, (-0.4, 0.26), (0.2, 0.46))), looks=(_COLOURS, ("rubber", "grille"),
         ("tail lights",))),
    Kind(name="estate", low=(1.7, 1.42, 4.3), high=(1.86, 1.55, 4.8), weight=2.0,
         parts=_car(0.6, 0.28, _cabin(0.59, (-0.49, 0.27), (0.2, 0.28))), looks=(_COLOURS, ("rubber", "grille"),
         ("tail lights",))),
    Kind(name="off-roader", low=(1.75, 1.65, 4.2), high=(1.95, 1.95, 4.8), weight=1.3,
         parts=_car(0.58, 0.26, _cabin(0.57, (-0.49, 0.27), (0.14, 0.16))), looks=(_COLOURS, ("rubber", "grille"),
         ("tail lights",))),
    Kind(name="van", low=(1.8, 1.85, 4.4), high=(2.05, 2.7, 6.0), weight=1.2,
         parts=(_box((0.1, 0.98), (-0.5, 0.22)), _box((0.12, 0.5), (0.2, 0.5)), _box((0.06, 0.22), (-0.49, 0.505), 1,
                0.46), part("box", (-0.48, 0.48, 0.2, 0.36, -0.5, -0.5), (0, 0, 0, 0, -0.02, 0.02), 2),
                _cabin(0.48, (0.0, 0.48), (0.1, 0.5))), looks=((*_LORRY, "dark paint"), ("rubber", "grille"),
                ("tail lights",))),
    Kind(name="lorry", low=(2.2, 2.9, 6.5), high=(2.55, 3.7, 10.5), weight=0.5,
         parts=(_box((0.26, 1.0), (-0.5, 0.24), 0), _box((0.12, 0.26), (-0.5, 0.3), 1, 0.42), _box((0.12, 0.8), (0.27,
                0.5), 2), _box((0.12, 0.3), (0.4, 0.507), 1, 0.47)), looks=((*_LORRY, "canvas", "poster", "sheet"),
                ("rubber", "grille"), _LORRY)),
    Kind(name="bus", low=(2.45, 2.9, 9.0), high=(2.55, 3.3, 13.0), weight=0.35,
         parts=(_box((0.12, 1.0), (-0.5, 0.5)), _box((0.08, 0.2), (-0.47, 0.47), 1, 0.48), _box((0.2, 0.3), (-0.497,
                0.503), 1, 0.46)), looks=(("any paint", "red paint", "white paint", "blue paint", "yellow plate"),
                ("rubber", "grille"))),
    Kind(name="bicycle", low=(0.44, 1.65, 1.6), high=(0.52, 1.85, 1.8), weight=0.8,
         parts=(_box((0.24, 0.36), (-0.26, 0.26), 1, 0.05), _box((0.5, 0.53), (-0.24, -0.1), 1, 0.12), _box((0.2, 0.52),
                (-0.08, 0.08), 2, 0.22), part("barrel", (-0.45, 0.45, 0.5, 0.88, -0.16, 0.1), NOTHING, 0, tilt=(0, -14,
                0)), part("ball", (-0.22, 0.22, 0.86, 1.0, -0.02, 0.12), NOTHING, 2)), looks=(("cloth", "cloth",
                "yellow plate"), ("steel", "red paint", "blue paint"), ("jeans", "cloth", "skin"))),
    Kind(name="motorcycle", low=(0.7, 1.55, 2.0), high=(0.85, 1.75, 2.2), weight=0.3,
         parts=(_box((0.2, 0.46), (-0.24, 0.24), 1, 0.2), _box((0.45, 0.55), (-0.4, 0.2), 0, 0.2), _box((0.25, 0.52),
                (-0.12, 0.08), 2, 0.34), part("barrel", (-0.34, 0.34, 0.5, 0.88, -0.16, 0.06), NOTHING, 2, tilt=(0, -10,
                0)), part("ball", (-0.18, 0.18, 0.84, 1.0, -0.06, 0.08), NOTHING, 0)), looks=(_COLOURS, ("rubber",
                "steel"), ("jeans", "rubber", "cloth"))),
)
TREES: tuple[Kind, ...] = (
    Kind(name="broad tree", low=(5.0, 6.0, 5.0), high=(10.0, 13.0, 10.0), square=True, weight=3.0,
         parts=(_trunk(0.2, 0.6), _ball(0.4, 0.4, 1.0), _ball(0.3, 0.3, 0.75, 1, (0.2, 0.1)), _ball(0.28, 0.34, 0.8, 2,
                (-0.2, -0.14))), looks=(_BARK, _LEAVES, _LEAVES)),
    Kind(name="street tree", low=(2.6, 4.5, 2.6), high=(5.0, 8.5, 5.0), square=True, weight=3.0,
         parts=(_trunk(0.12, 0.6), _ball(0.46, 0.38, 1.0), _ball(0.34, 0.32, 0.74, 1, (0.12, -0.1))),
         looks=(_BARK, _LEAVES)),
    Kind(name="great tree", low=(9.0, 11.0, 9.0), high=(15.0, 19.0, 15.0), square=True, weight=1.5,
         parts=(_trunk(0.35, 0.5), _ball(0.4, 0.3, 1.0), _ball(0.32, 0.2, 0.72, 1, (-0.18, -0.16)), _ball(0.3, 0.24,
                0.8, 2, (0.2, 0.12))), looks=(_BARK, _LEAVES, _LEAVES)),
    Kind(name="poplar", low=(2.2, 9.0, 2.2), high=(4.0, 17.0, 4.0), square=True, weight=0.6,
         parts=(_trunk(0.18, 0.3), _ball(0.42, 0.12, 1.0), _ball(0.36, 0.1, 0.6)), looks=(_BARK, _LEAVES)),
    Kind(name="fir", low=(3.0, 6.0, 3.0), high=(6.5, 15.0, 6.5), square=True, weight=1.0,
         parts=(_trunk(0.16, 0.3), _cone(0.5, 0.08, 0.7), _cone(0.36, 0.4, 1.0)), looks=(_BARK, ("dark leaves",))),
    Kind(name="bush", low=(1.0, 0.8, 1.0), high=(3.5, 3.0, 3.5), square=True, weight=2.5,
         parts=(_ball(0.48, -0.15, 1.0, 0), _ball(0.36, -0.2, 0.75, 0, (0.3, 0.2))),
         looks=((*_LEAVES, "hedge", "blossom"),)),
    Kind(name="thicket", low=(4.0, 2.5, 4.0), high=(9.0, 6.5, 9.0), square=True, weight=1.2,
         parts=(_ball(0.5, -0.2, 0.9, 0), _ball(0.36, -0.2, 1.0, 1, (0.3, 0.3)), _ball(0.34, -0.2, 0.7, 1, (-0.3,
                0.34))), looks=((*_LEAVES, "hedge"), (*_LEAVES, "blossom"))),
)
PEOPLE: tuple[Kind, ...] = (
    Kind(name="grown-up", low=(0.42, 1.55, 0.42), high=(0.6, 1.92, 0.6), square=True, weight=3.0,
         parts=(_round("barrel", 0.3, 0.0, 0.54, 1), _round("barrel", 0.42, 0.46, 0.86), _round("ball", 0.22, 0.85, 1.0,
                2)), looks=(("cloth",), ("jeans", "cloth"), ("skin",))),
    Kind(name="walker", low=(0.5, 1.55, 0.5), high=(0.65, 1.9, 0.65), square=True, weight=2.0,
         parts=(part("can", (-0.16, 0.16, 0, 0.52, 0.04, 0.36), NOTHING, 1, tilt=(0, 14, 0)), part("can", (-0.16, 0.16,
                0, 0.52, -0.36, -0.04), NOTHING, 1, tilt=(0, -14, 0)), _round("barrel", 0.36, 0.46, 0.86),
                _round("ball", 0.2, 0.85, 1.0, 2)), looks=(("cloth",), ("jeans", "cloth"), ("skin",))),
    Kind(name="child", low=(0.3, 1.0, 0.3), high=(0.4, 1.4, 0.4), square=True, weight=0.7,
         parts=(_round("barrel", 0.32, 0.0, 0.5, 1), _round("barrel", 0.44, 0.42, 0.82), _round("ball", 0.3, 0.79, 1.0,
                2)), looks=(("cloth",), ("jeans", "cloth"), ("skin",))),
)
POLES: tuple[Kind, ...] = (
    Kind(name="street lamp", low=(1.2, 5.5, 0.3), high=(2.6, 9.0, 0.3), weight=2.5,
         parts=(_pole(0.075), part("box", (-0.5, 0, 0.98, 0.98, 0, 0), (0, 0, 0, 0.08, -0.04, 0.04)), part("box", (-0.5,
                -0.5, 0.97, 0.97, 0, 0), (-0.4, 0.3, 0, 0.12, -0.12, 0.12), 1)), looks=(_STEEL, ("lamp",))),
    Kind(name="lantern", low=(0.35, 3.2, 0.35), high=(0.6, 4.5, 0.6), square=True, weight=1.0,
         parts=(_pole(0.06, 0.9), _round("pot", 0.5, 0.86, 0.96, 1), _round("cone", 0.55, 0.96, 1.0)),
         looks=(_STEEL, ("lamp",))),
    Kind(name="traffic sign", low=(0.5, 2.3, 0.3), high=(0.8, 3.0, 0.3), weight=2.5,
         parts=(_pole(0.035), _sign(0.74, 1.0), _sign(0.58, 0.7, 0.4, 2)), looks=(_STEEL, ("red plate", "blue plate",
                "white plate", "yellow plate"), ("white plate", "blue plate"))),
    Kind(name="round sign", low=(0.6, 2.2, 0.6), high=(0.7, 2.8, 0.7), square=True, weight=1.2,
         parts=(_pole(0.035), part("can", (-0.5, 0.5, 0.88, 0.88, 0, 0), (0, 0, -0.02, 0.02, -0.33, 0.33), 1, tilt=(0,
                90, 0))), looks=(_STEEL, ("red plate", "blue plate", "white plate"))),
    Kind(name="traffic light", low=(0.3, 2.9, 0.3), high=(0.4, 3.6, 0.4), square=True, weight=1.2,
         parts=(_pole(0.06), part("box", (-0.5, 0.5, 0.7, 1.0, 0, 0), (0, 0, 0, 0, -0.3, -0.06), 1)),
         looks=(_STEEL, ("signal",))),
    Kind(name="signpost", low=(1.2, 2.6, 0.3), high=(2.6, 4.0, 0.3), weight=0.8,
         parts=(_pole(0.05, 1.0, 0, -0.38), _pole(0.05, 1.0, 0, 0.38), _sign(0.55, 1.0)),
         looks=(_STEEL, ("yellow plate", "blue plate", "white plate", "poster"))),
    Kind(name="hoarding", low=(2.6, 2.8, 0.3), high=(4.0, 4.2, 0.3), weight=0.3,
         parts=(_pole(0.08, 1.0, 0, -0.4), _pole(0.08, 1.0, 0, 0.4), _sign(0.3, 1.0)), looks=(_STEEL, ("poster",))),
    Kind(name="telegraph pole", low=(1.4, 7.0, 0.3), high=(2.0, 9.5, 0.3), weight=0.6,
         parts=(_pole(0.13), part("box", (-0.5, 0.5, 0.92, 0.92, 0, 0), (0, 0, 0, 0.12, -0.06, 0.06))),
         looks=(("bark", "boards"),)),
    Kind(name="bollard", low=(0.12, 0.7, 0.12), high=(0.25, 1.1, 0.25), square=True, weight=1.5,
         parts=(_round("can", 0.5, 0.0, 1.0),), looks=(("steel", "white plate", "red plate", "concrete"),)),
    Kind(name="bin", low=(0.5, 0.9, 0.5), high=(0.75, 1.2, 0.75), square=True, weight=1.2,
         parts=(part("box", (-0.46, 0.46, 0.0, 0.9, -0.46, 0.46)), part("box", (-0.5, 0.5, 0.9, 1.0, -0.5, 0.5),
                NOTHING, 1)), looks=(("dark paint", "blue paint", "grey paint", "any paint"), ("dark paint",
                "yellow plate", "any paint"))),
    Kind(name="cabinet", low=(0.7, 1.0, 0.35), high=(1.3, 1.5, 0.5), weight=0.8, parts=(part("box"),),
         looks=(("grey paint", "any paint", "poster"),)),
    Kind(name="shelter", low=(2.6, 2.3, 1.3), high=(4.5, 2.7, 1.7), weight=0.5,
         parts=(part("box", (-0.5, 0.5, 0.95, 1.0, -0.5, 0.5)), part("box", (-0.48, 0.48, 0.06, 0.9, -0.46, -0.43),
                NOTHING, 1), _pole(0.05, 0.96, 0, -0.45), _pole(0.05, 0.96, 0, 0.45)),
         looks=(_STEEL, ("poster", "steel", "white plate"))),
)
GANTRY: tuple[Kind, ...] = (
    Kind(name="gantry", low=(1.0, 5.4, 0.4), high=(1.0, 7.0, 0.4),
         parts=(_pole(0.16, 1.0, 0, -0.5), _pole(0.16, 1.0, 0, 0.5), part("box", (-0.5, 0.5, 0.97, 0.97, 0, 0), (0, 0,
                0, 0.25, -0.15, 0.15)), part("box", (0.04, 0.4, 0.78, 1.0, 0, 0), (0, 0, 0, 0, -0.3, -0.2), 1),
                part("box", (-0.36, -0.06, 0.82, 1.0, 0, 0), (0, 0, 0, 0, -0.3, -0.2), 2)),
         looks=(_STEEL, ("blue plate", "white plate", "yellow plate"), ("blue plate", "signal", "poster"))),
)
THINGS = (*TREES, *PEOPLE, *POLES, *GANTRY)
KINDS = (*VEHICLES, *THINGS)
# fmt: on
