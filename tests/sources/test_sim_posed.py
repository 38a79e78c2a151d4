"""Posed solids, their normals and the sun: exact geometry, against the definitions of the solids."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from kdcli.sources.sim.camera import view_rays
from kdcli.sources.sim.frames import frame_table, surface_frames
from kdcli.sources.sim.hashing import scene_keys
from kdcli.sources.sim.interiors import interiors
from kdcli.sources.sim.kinds import LOOSE_PARTS, Loose, Pieces, draw_sizes, loose_parts
from kdcli.sources.sim.lighting import _through_window
from kdcli.sources.sim.placing import LOOSE
from kdcli.sources.sim.posed import (
    PROFILES,
    ball_span,
    standing_span,
    tapered_span,
    tilted_span,
    turned_span,
    turns,
)
from kdcli.sources.sim.primitives import nearest_hit
from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.scene import FACES, Lamps, Posed, Scene, Standing

SIZE = (24, 32)


@cache
def _scenes() -> Scene:
    return interiors(scene_keys("interiors", 5, torch.arange(8)))


def _posed(shape: str, copies: int = 6) -> Posed:
    generator = torch.Generator().manual_seed(len(shape))
    angles = torch.rand(3, 1, copies, generator=generator) * 2.0 * math.pi
    profile = None if shape == "box" else torch.tensor([[PROFILES[shape]] * copies])
    return Posed(
        center=torch.randn(1, copies, 3, generator=generator) * 0.3,
        half=torch.rand(1, copies, 3, generator=generator) * 0.5 + 0.1,
        turn=turns(*angles),
        profile=profile,
    )


def _contains(posed: Posed, points: Tensor) -> Tensor:
    """Say which points (N x 3) lie in which solids of one scene, N x K; by the definition, in double precision."""
    own = ((points.double()[:, None] - posed.center[0].double())[:, :, None] * posed.turn[0].double()).sum(-1)
    x, y, z = (own / posed.half[0].double()).unbind(-1)
    if posed.profile is None:
        return (x.abs() <= 1) & (y.abs() <= 1) & (z.abs() <= 1)
    a, b, c = posed.profile[0].double().unbind(-1)
    return (x * x + z * z + a * y * y + b * y + c <= 0) & (y.abs() <= 1)


@pytest.mark.parametrize("shape", ["box", *PROFILES])
def test_spans_agree_with_walking_along_the_ray(shape: str) -> None:
    posed = _posed(shape)
    generator = torch.Generator().manual_seed(1)
    start = torch.tensor([[0.2, 0.1, -2.5]])
    ahead = torch.randn(150, 3, generator=generator) * 0.4 - start
    x, y, z = ahead.T.contiguous()[:, None].unbind(0)
    rays = Rays(origin_B3=start, x_BN=x, y_BN=y, z_BN=z)
    enter, leave = (tilted_span if shape == "box" else turned_span)(rays, posed)
    steps = torch.linspace(0.0, 3.0, 1501, dtype=torch.float64)
    walk = start.double() + steps[:, None, None] * ahead.double()
    inside = _contains(posed, walk.reshape(-1, 3)).view(1501, 150, -1)
    hit, touched = inside.any(0), (enter < leave)[0].T
    clear = (leave - enter).abs()[0].T > 0.006
    assert hit.any() and not hit.all()
    assert torch.equal(hit[clear], touched[clear])
    first = steps[inside.int().argmax(0)]
    last = steps[1500 - inside.flip(0).int().argmax(0)]
    both = hit & touched
    assert (first - enter[0].T)[both].abs().max() < 0.0025
    assert (last - leave[0].T)[both].abs().max() < 0.0025


def test_turns_are_rotations_and_yaw_is_that_of_upright_solids() -> None:
    turn = turns(*(torch.rand(3, 50, generator=torch.Generator().manual_seed(0)) * 6.0))
    assert (turn @ turn.mT - torch.eye(3)).abs().max() < 1e-5
    assert torch.linalg.det(turn).min() > 0.999
    yaw = torch.tensor([0.7])
    nought = torch.zeros(1)
    c, s = math.cos(0.7), math.sin(0.7)
    torch.testing.assert_close(
        turns(yaw, nought, nought)[0], torch.tensor([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
    )
    lifted = turns(nought, torch.tensor([0.3]), nought)[0]
    assert lifted[2, 1] > 0.2  # the front goes up


def test_depth_is_that_of_the_nearest_solid() -> None:
    """Nothing lies before what a ray hits, and what it hits lies there: against the definition of all solids."""
    scene = _scenes()
    rays = view_rays(scene.view, (6, 8))
    depth, index = nearest_hit(rays, scene.geometry)
    table = frame_table(scene.geometry)
    ahead = torch.stack((rays.x_BN, rays.y_BN, rays.z_BN), dim=-1)
    share = torch.cat((torch.linspace(0.0, 0.998, 250), torch.tensor([1.0 + 1e-4])))
    for b in range(len(depth)):
        rows = table[b, : table.shape[1] - FACES]
        walk = scene.view.position_B3[b] + share[:, None, None] * depth[b][None, :, None] * ahead[b]
        own = (
            torch.einsum("kij,snkj->snki", rows[:, 6:15].view(-1, 3, 3), walk[:, :, None] - rows[:, :3]) * rows[:, 3:6]
        )
        x, y, z = own.unbind(-1)
        a, p, c = rows[:, 15:18].unbind(-1)
        solid = torch.where(
            rows[:, 18] == 1.0, x * x + z * z + a * y * y + p * y + c <= 0, (x.abs() <= 1) & (z.abs() <= 1)
        )
        inside = solid & (y.abs() <= 1)
        assert not inside[:-1].any()
        hits = index[b] < len(rows)
        entered = inside[-1][hits].gather(1, index[b][hits][:, None])
        # Grazing rays leave again within the step.
        assert entered.float().mean() > 0.97 if hits.any() else True


def test_normals_face_the_camera_and_are_of_length_one() -> None:
    scene = _scenes()
    rays = view_rays(scene.view, SIZE)
    depth, index = nearest_hit(rays, scene.geometry)
    planes = (rays.x_BN, rays.y_BN, rays.z_BN)
    point = tuple(scene.view.position_B3[:, k, None] + depth * planes[k] for k in range(3))
    nx, ny, nz, _, _ = surface_frames(scene.geometry, index, point)
    torch.testing.assert_close(nx * nx + ny * ny + nz * nz, torch.ones_like(nx))
    facing = nx * rays.x_BN + ny * rays.y_BN + nz * rays.z_BN
    assert (facing < 1e-3).float().mean() > 0.999


@pytest.mark.parametrize("shape", ["box", *PROFILES])
def test_normals_are_the_gradient_of_the_solid(shape: str) -> None:
    posed = _posed(shape, 1)
    geometry = replace(
        _scenes().geometry.select(torch.tensor([0])),
        room_B3=torch.full((1, 3), 9.0),
        tilted=posed if shape == "box" else None,
        turned=None if shape == "box" else posed,
        ids_BP=torch.zeros((1, 55), dtype=torch.int64),
    )
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(120, 3, generator=generator, dtype=torch.float64)
    start = 3.0 * start / start.norm(dim=1, keepdim=True)
    ahead = posed.center[0].double() + 0.3 * torch.randn(120, 3, generator=generator, dtype=torch.float64) - start
    span = tilted_span if shape == "box" else turned_span
    seen = 0
    for a, d in zip(start, ahead, strict=True):
        rays = Rays(origin_B3=a[None].float(), **{f"{k}_BN": d[i].float().view(1, 1) for i, k in enumerate("xyz")})
        enter, leave = span(rays, posed)
        if (leave - enter).item() < 0.01:
            continue
        point = (a + enter.item() * d).requires_grad_()
        own = posed.turn[0, 0].double() @ (point - posed.center[0, 0].double())
        x, y, z = (own / posed.half[0, 0].double()).unbind()
        if posed.profile is None:
            faces = [x.abs() - 1, y.abs() - 1, z.abs() - 1]
        else:
            p, q, c = posed.profile[0, 0].double()
            faces = [x * x + z * z + p * y * y + q * y + c, y.abs() - 1]
        # The surface is where the greatest of these is zero; at edges two are.
        values = torch.stack(faces)
        if values.abs().sort().values[1] < 0.02:
            continue
        values[values.abs().argmin()].backward()
        assert point.grad is not None
        place = tuple(point.detach().float()[k].view(1, 1) for k in range(3))
        normal = torch.stack(surface_frames(geometry, torch.full((1, 1), 54), place)[:3]).flatten().double()
        assert normal @ point.grad / point.grad.norm() > 0.999
        seen += 1
    assert seen > 30


def test_parts_turn_with_their_object() -> None:
    kinds = tuple(kind for kind in LOOSE if any(not p.upright for p in kind.parts))
    count = len(kinds)
    yaw, pitch, roll = torch.rand(3, 1, count, generator=torch.Generator().manual_seed(3)) * 6.0

    def parts(turn: Tensor, place: Tensor) -> Loose:
        size = draw_sizes(kinds, torch.arange(count)[None], torch.full((1, count, 3), 0.5))
        exists = torch.ones((1, count), dtype=torch.bool)
        kind = torch.arange(count)[None]
        pieces = Pieces(kinds=kinds, kind=kind, size=size, place=place, turn=turn, exists=exists)
        return loose_parts(pieces, upright=True, first_owner=1)

    straight = parts(torch.eye(3).expand(1, count, 3, 3), torch.zeros(1, count, 3))
    turn, place = turns(yaw, pitch, roll), torch.rand(1, count, 3, generator=torch.Generator().manual_seed(4))
    turned = parts(turn, place)
    each = turn.repeat_interleave(LOOSE_PARTS, dim=1)
    where = place.repeat_interleave(LOOSE_PARTS, dim=1)
    # A point of a part, given in the part's own axes, is carried along with the object.
    own = torch.tensor([0.2, -0.1, 0.3])
    before = straight.center + (straight.turn * own[:, None]).sum(-2)
    after = turned.center + (turned.turn * own[:, None]).sum(-2)
    expected = (each * before[..., None]).sum(-2) + where
    torch.testing.assert_close(after[turned.exists], expected[turned.exists])
    torch.testing.assert_close(turned.half, straight.half)


def test_sun_comes_through_its_window_only() -> None:
    lamps = _scenes().lighting
    assert isinstance(lamps, Lamps)
    room = torch.tensor([[4.0, 2.5, 6.0]])
    window = Lamps(
        **{
            name: getattr(lamps, name)[:1]
            for name in ("colour_BL3", "falloff_BL", "ambient_B3", "toward_B3", "corners_B")
        },
        position_BL3=torch.tensor([[[20.0, 1.5, 0.0]]]),
        sun_B=torch.tensor([True]),
        face_B=torch.tensor([1]),
        center_B2=torch.tensor([[0.0, 1.5]]),
        half_B2=torch.tensor([[0.5, 0.5]]),
    )
    z = torch.tensor([[0.0, 0.3, 0.7, -2.0]])
    point = (torch.zeros_like(z), torch.full_like(z, 1.5), z)
    ray = (torch.full_like(z, 20.0), torch.zeros_like(z), torch.zeros_like(z))
    assert _through_window(window, room, point, ray).tolist() == [[1.0, 1.0, 0.0, 0.0]]


def _walked(start: Tensor, ahead: Tensor, inside: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return where rays are first inside a solid, N, and whether they ever are; by small steps."""
    steps = torch.linspace(0.0, 3.0, 3001, dtype=torch.float64)
    within = inside(start.double() + steps[:, None, None] * ahead.double())
    return torch.where(within.any(0), steps[within.int().argmax(0)], -1.0), within.any(0)


def _rays(count: int = 200) -> tuple[Tensor, Tensor, Rays]:
    generator = torch.Generator().manual_seed(1)
    start = torch.tensor([[0.2, 0.9, -2.5]])
    ahead = torch.randn(count, 3, generator=generator) * 0.5 - start
    x, y, z = ahead.T.contiguous()[:, None].unbind(0)
    return start, ahead, Rays(origin_B3=start, x_BN=x, y_BN=y, z_BN=z)


@pytest.mark.parametrize("taper", [(0.0, 0.0), (1.0, 0.0), (0.3, 0.6), (1.0, 1.0)])
def test_tapered_boxes_narrow_upwards(taper: tuple[float, float]) -> None:
    posed = replace(_posed("box", 1), taper=torch.tensor([[taper]]))
    start, ahead, rays = _rays()
    enter, leave = tapered_span(rays, posed)

    def inside(points: Tensor) -> Tensor:
        own = ((points - posed.center[0, 0].double())[..., None, :] * posed.turn[0, 0].double()).sum(-1)
        x, y, z = (own / posed.half[0, 0].double()).unbind(-1)
        up = 0.5 * (1.0 + y)
        return (x.abs() <= 1.0 - taper[0] * up) & (z.abs() <= 1.0 - taper[1] * up) & (y.abs() <= 1.0)

    first, hit = _walked(start, ahead, inside)
    touched, clear = (enter < leave)[0, 0], (leave - enter).abs()[0, 0] > 0.003
    assert hit.any() and not hit.all()
    assert torch.equal(hit[clear], touched[clear])
    both = hit & touched
    assert (first - enter[0, 0])[both].abs().max() < 0.0015
    if taper == (0.0, 0.0):
        torch.testing.assert_close(enter[0, 0][both], tilted_span(rays, posed)[0][0, 0][both])


def test_normals_of_tapered_boxes_lean_with_their_sides() -> None:
    """A roof of 2 m rise over 4 m half width: its normal leans by the angle of the roof."""
    scene = _scenes().geometry.select(torch.tensor([0]))
    roof = Posed(
        center=torch.tensor([[[0.0, 1.0, 0.0]]]),
        half=torch.tensor([[[4.0, 1.0, 6.0]]]),
        turn=torch.eye(3)[None, None],
        taper=torch.tensor([[[1.0, 0.0]]]),
    )
    geometry = replace(
        scene, room_B3=torch.full((1, 3), 90.0), tilted=None, turned=None, tapered=roof, ids_BP=torch.zeros((1, 55))
    )
    number = geometry.boxes.center.shape[1] * geometry.boxes.center.shape[2]
    point = tuple(torch.tensor([[value]]) for value in (2.0, 1.0, 0.5))
    normal = torch.cat(surface_frames(geometry, torch.full((1, 1), number), point)[:3])[:, 0]
    torch.testing.assert_close(normal, torch.tensor([2.0, 4.0, 0.0]) / math.sqrt(20.0))
    gable = tuple(torch.tensor([[value]]) for value in (0.5, 1.0, 6.0))
    normal = torch.cat(surface_frames(geometry, torch.full((1, 1), number), gable)[:3])[:, 0]
    torch.testing.assert_close(normal, torch.tensor([0.0, 0.0, 1.0]))


@pytest.mark.parametrize("shape", ["ball", "can", "cone", "pot"])
def test_standing_solids_are_turned_ones_without_a_turn(shape: str) -> None:
    posed = _posed(shape)
    upright = replace(posed, turn=torch.eye(3).expand_as(posed.turn))
    assert posed.profile is not None
    nothing = torch.zeros((*posed.center.shape[:2], 2))
    standing = Standing(center=posed.center, half=posed.half, profile=posed.profile, ragged=nothing)
    _, _, rays = _rays()
    expected = turned_span(rays, upright)
    hit = expected[0] < expected[1] - 1e-3
    assert hit.any()
    for span in (standing_span, ball_span) if shape == "ball" else (standing_span,):
        enter, leave = span(rays, standing)
        assert ((leave - enter) <= 1e-3)[~hit].all()
        torch.testing.assert_close(enter[hit], expected[0][hit], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(leave[hit], expected[1][hit], rtol=1e-4, atol=1e-4)


def test_ragged_balls_grow_by_what_their_fields_say() -> None:
    posed = _posed("ball")
    assert posed.profile is not None
    share = torch.tensor([0.5, 0.25]).expand(*posed.center.shape[:2], 2)
    ragged = Standing(center=posed.center, half=posed.half, profile=posed.profile, ragged=share)
    _, _, rays = _rays()
    field = torch.tensor([0.3, -0.2])[None, :, None].expand(1, 2, rays.x_BN.shape[1])
    grown = Standing(center=posed.center, half=posed.half * (1 + 0.15 - 0.05), profile=posed.profile, ragged=share)
    enter, leave = ball_span(replace(rays, ripple_BLN=field), ragged)
    other = ball_span(rays, grown)
    hit = other[0] < other[1] - 1e-3
    assert hit.any()
    torch.testing.assert_close(enter[hit], other[0][hit], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(leave[hit], other[1][hit], rtol=1e-4, atol=1e-4)
    assert (leave <= enter)[other[0] >= other[1]].all()
