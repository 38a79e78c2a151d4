"""What a batch of scenes is made of: shell, solids, materials, decals, lights, view and photograph.

World axes: x and z along the floor, y up, metres; the shell spans [-X/2, X/2] x [0, Y] x [-Z/2, Z/2].
Letters: B scenes, G groups of boxes that share a yaw, Q boxes a group, E ellipsoids, C cylinders, T tilted boxes,
R turned solids, W tapered boxes, S standing solids, A balls, D decals, P = G * Q + E + C + T + R + W + S + A solids in
that order, M = P + 6 + D materials (outdoors P + 6 + zones of the ground), L lights.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from kdcli.sources.sim.rays import Rays

_Table = TypeVar("_Table", "Posed", "Standing", "Ground")

FACES = 6
"""Shell faces in order: -x, +x, floor, ceiling, -z, +z."""
FLOOR, CEILING = 2, 3
BURIED = -1000.0
"""Height of solids that a scene does not use: below every floor, so rays end before they reach them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solids:
    """Solids of one type. center, half: B x K x 3 (box groups: B x G x Q x 3 about the group's pivot)."""

    center: Tensor
    half: Tensor
    yaw: Tensor
    """B x K radians about y."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """Solids in any pose. center, half: B x K x 3. turn: B x K x 3 x 3, its rows are the solid's axes in the world.

    profile: B x K x 3, None = boxes. A solid of revolution holds the points with x^2 + z^2 + A y^2 + B y + C <= 0 and
    |y| <= 1 in its own axes and units of its half sizes; (A, B, C) is its profile, see ``posed.PROFILES``.

    taper: B x K x 2, boxes that narrow upwards: what x and z lose of their half sizes from y = -1 to y = 1, 1 = all.
    """

    center: Tensor
    half: Tensor
    turn: Tensor
    profile: Tensor | None = None
    taper: Tensor | None = None

    def select(self, rows: Tensor | tuple[slice, slice | Tensor]) -> Posed:
        """Repeat or pick scenes: rows is an int64 index along B. A pair picks along B and K."""
        return _pick(self, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Upright solids of revolution that need no turn. center, half, profile: B x K x 3 as in ``Posed``.

    ragged: B x K x L, how much of each of the L fields of ``Rays.ripple_BLN`` is added to their radius: foliage.
    """

    center: Tensor
    half: Tensor
    profile: Tensor
    ragged: Tensor

    def select(self, rows: Tensor | tuple[slice, slice | Tensor]) -> Standing:
        """Pick as ``Posed.select`` does."""
        return _pick(self, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Ground outdoors instead of a shell's floor: planes that meet at lines across z.

    knots_BK: where they meet, rising z. height_BK: the ground there. slope_BK: of the plane behind each of them; the
    first plane reaches back without end, the last one forward.
    """

    knots_BK: Tensor
    height_BK: Tensor
    slope_BK: Tensor

    def select(self, rows: Tensor) -> Ground:
        """Repeat or pick scenes: rows is an int64 index along B."""
        return _pick(self, rows)

    def at(self, z: Tensor) -> Tensor:
        """Return the height of the ground at z (B x N) in metres."""
        height = torch.addcmul(self.height_BK[:, :1], z - self.knots_BK[:, :1], self.slope_BK[:, :1])
        for k in range(1, self.knots_BK.shape[1]):
            past = z - self.knots_BK[:, k, None]
            here = torch.addcmul(self.height_BK[:, k, None], past, self.slope_BK[:, k, None])
            height = torch.where(past >= 0.0, here, height)
        return height


def _pick(solids: _Table, rows: Tensor | tuple[slice, slice | Tensor]) -> _Table:
    """Pick from every tensor of a table."""
    values = {f.name: getattr(solids, f.name) for f in fields(solids)}
    picked = {name: value[rows] for name, value in values.items() if isinstance(value, Tensor)}
    return replace(solids, **picked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Everything that a ray can hit.

    room_B3: shell extents. pivot_BG3: origins of the box groups in the world. ids_BP: instance id of each solid, 0 for
    what belongs to the room. tilted, turned: boxes and solids of revolution in any pose, tapered: boxes that narrow
    upwards, standing: upright solids of revolution, balls: upright ellipsoids, in worlds that have them. ground: the
    world is outdoors; the shell is far and wide then, its floor is the ground, and what meets nothing leaves through
    the ceiling. sparse: scenes have room for many more solids than most of them use.
    """

    room_B3: Tensor
    pivot_BG3: Tensor
    boxes: Solids
    ellipsoids: Solids
    cylinders: Solids
    ids_BP: Tensor
    tilted: Posed | None = None
    turned: Posed | None = None
    tapered: Posed | None = None
    standing: Standing | None = None
    balls: Standing | None = None
    ground: Ground | None = None
    sparse: bool = False

    def select(self, rows: Tensor) -> Geometry:
        """Repeat or pick scenes: rows is an int64 index along B."""

        def pick(solids: Solids) -> Solids:
            return Solids(center=solids.center[rows], half=solids.half[rows], yaw=solids.yaw[rows])

        return Geometry(
            room_B3=self.room_B3[rows],
            pivot_BG3=self.pivot_BG3[rows],
            boxes=pick(self.boxes),
            ellipsoids=pick(self.ellipsoids),
            cylinders=pick(self.cylinders),
            ids_BP=self.ids_BP[rows],
            tilted=None if self.tilted is None else self.tilted.select(rows),
            turned=None if self.turned is None else self.turned.select(rows),
            tapered=None if self.tapered is None else self.tapered.select(rows),
            standing=None if self.standing is None else self.standing.select(rows),
            balls=None if self.balls is None else self.balls.select(rows),
            ground=None if self.ground is None else self.ground.select(rows),
            sparse=self.sparse,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A pinhole camera: position (B x 3), yaw, pitch, roll (B, radians), tan_half: tangent of half the horizontal
    field of view (B).

    least_aspect: None = this field of view whatever the shape of the picture. A number = ``tan_half_B`` is of half the
    vertical field instead, which is kept for pictures at least that many times as wide as high; less wide ones show as
    much from left to right as one of that shape does, and more above and below.
    """

    position_B3: Tensor
    yaw_B: Tensor
    pitch_B: Tensor
    roll_B: Tensor
    tan_half_B: Tensor
    least_aspect: float | None = None

    def map(self, index: Tensor) -> View:
        """Pick views along the first dimension."""
        tensors = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "least_aspect"}
        return replace(self, **tensors)

    def across(self, size: tuple[int, int]) -> Tensor:
        """Return the tangent of half the horizontal field of view of pictures of a size (height, width); B."""
        if self.least_aspect is None:
            return self.tan_half_B
        return self.tan_half_B * max(size[1] / size[0], self.least_aspect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lighting:
    """Lamps and how their light is used. Only the first lamp casts shadows, and only where ``shadows``."""

    position_BL3: Tensor
    colour_BL3: Tensor
    """Radiance at one metre, per channel."""
    ambient_B3: Tensor
    falloff: float
    """Weight of the squared distance: 1 = physical, 0 = a lamp that reaches everywhere alike."""
    shadows: bool
    corners: float
    """How much ambient light is lost where shell faces meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamps:
    """Lights of worlds with glossy surfaces. The first lamp casts shadows.

    falloff_BL: weight of the squared distance, 0 = a far source. ambient_B3, and toward_B3: the direction that more of
    it comes from (length: how much more). corners_B: ambient light lost where shell faces meet. sun_B: the first lamp
    is outside and shines in through a window: face_B (a wall), center_B2 and half_B2 in face coordinates.
    """

    position_BL3: Tensor
    colour_BL3: Tensor
    falloff_BL: Tensor
    ambient_B3: Tensor
    toward_B3: Tensor
    corners_B: Tensor
    sun_B: Tensor
    face_B: Tensor
    center_B2: Tensor
    half_B2: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """What the camera does to the light; ``None`` in a scene = a perfect camera.

    exposure_B: wanted mean luminance. balance_B3: gains. vignette_B: loss in the corners. blur_B: deviation in pixels.
    noise_B: deviation at full brightness. curve_B: exponent from light to the picture, None = 1 / 2.2.
    """

    exposure_B: Tensor
    balance_B3: Tensor
    vignette_B: Tensor
    blur_B: Tensor
    noise_B: Tensor
    curve_B: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decals:
    """Rectangles on shell faces: face_BD (int64), center_BD2 and half_BD2 in face coordinates, frame_BD width.

    Face coordinates are (z, y) on the x faces, (x, z) on floor and ceiling, (x, y) on the z faces. round_BD: ellipses
    instead; ids_BD: instance ids of those that are objects (pictures, rugs), 0 for the others.
    """

    face_BD: Tensor
    center_BD2: Tensor
    half_BD2: Tensor
    frame_BD: Tensor
    round_BD: Tensor | None = None
    ids_BD: Tensor | None = None


class Outdoors(Protocol):
    """What a world without a shell says of its own: how far depth is known, and what is seen."""

    @property
    def reach(self) -> tuple[float, float]:
        """The nearest and the farthest known depth in metres; all else is invalid."""

    def aim(self, rays: Rays) -> Rays:
        """Give the camera's rays what the world's solids want to know of them."""

    def paint(
        self,
        scene: Scene,
        index_BN: Tensor,
        rays: Rays,
        point: tuple[Tensor, ...],
        normal: tuple[Tensor, ...],
        uv: tuple[Tensor, Tensor],
        footprint: Tensor,
    ) -> Tensor:
        """Return the light that arrives at the camera, 3 x B x N; arguments as in ``finish.paint``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A batch of scenes, ready to be rendered.

    finish_BMF: what surfaces have beyond their colours (``materials.FINISH``), in worlds with ``Lamps`` or outdoors.
    outdoors: there, in place of decals, baseboard and lighting.
    """

    keys_B: Tensor
    geometry: Geometry
    materials_BMF: Tensor
    decals: Decals | None
    baseboard_B: Tensor
    lighting: Lighting | Lamps | None
    view: View
    photo: Photo | None
    finish_BMF: Tensor | None = None
    outdoors: Outdoors | None = None


def gather_rows(table_BKF: Tensor, index_BN: Tensor) -> Tensor:
    """Look up rows of a table per scene; returns B x N x F."""
    batch, rows, width = table_BKF.shape
    offset = torch.arange(batch, device=table_BKF.device)[:, None] * rows
    flat = table_BKF.reshape(batch * rows, width).index_select(0, (index_BN + offset).flatten())
    return flat.view(batch, -1, width)
