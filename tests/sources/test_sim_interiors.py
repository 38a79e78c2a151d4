"""The simulated world ``interiors``: whole objects, the distribution that its document states."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from kdcli.sources.sim.built import build
from kdcli.sources.sim.camera import axes, view_rays
from kdcli.sources.sim.catalogue import FURNITURE
from kdcli.sources.sim.clutter import HANGING, SMALL, STANDING
from kdcli.sources.sim.hashing import Dice, scene_keys
from kdcli.sources.sim.interiors import OBJECTS, TILTED, TURNED, interiors
from kdcli.sources.sim.kinds import FRAME_BOXES, LOOKS, LOOSE_PARTS, SITES, Pieces
from kdcli.sources.sim.materials import MATERIALS
from kdcli.sources.sim.placing import LOOSE, hang, place_in_air, place_on_floor, place_things
from kdcli.sources.sim.plan import ROOMS, draw_rooms
from kdcli.sources.sim.primitives import nearest_hit
from kdcli.sources.sim.render import render
from kdcli.sources.sim.scene import FLOOR, Lamps, Scene
from kdcli.testing import check_source
from kdcli.types import Batch

SIZE = (24, 32)
KINDS = (*FURNITURE, *STANDING, *HANGING, *SMALL)
DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"


@cache
def _scenes(count: int = 160) -> Scene:
    return interiors(scene_keys("interiors", 5, torch.arange(count)))


@cache
def _pictures() -> tuple[Batch, Scene, Tensor]:
    """Return 64 rendered scenes: the batch, the scenes, and the surface that each pixel shows."""
    batch = render("interiors", 5, torch.arange(64), SIZE)
    scene = interiors(scene_keys("interiors", 5, torch.arange(64)))
    return batch, scene, nearest_hit(view_rays(scene.view, SIZE), scene.geometry)[1]


@cache
def _laid_out(count: int = 1500) -> tuple[Tensor, tuple[Tensor, ...], Pieces, tuple[Pieces, ...]]:
    """Lay out scenes without looking at them: room, what is built in, furniture, other objects."""
    dice = Dice(scene_keys("interiors", 9, torch.arange(count)))
    room_kind, room = draw_rooms(dice)
    built = build(dice, room)
    furniture, yaw, rounds = place_on_floor(dice, room, room_kind, built)
    others = hang(dice, room), place_things(dice, room, room_kind, built, furniture, yaw, rounds)
    air = place_in_air(dice, room, torch.full((count, 1), 0.5))
    return room, built, furniture, (rounds, *others, air)


def test_floor_is_a_plane_at_the_height_of_the_camera() -> None:
    batch, scene, index = _pictures()
    assert batch.depth is not None and batch.intrinsics is not None
    right, up, forward = axes(scene.view)
    v, u = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    seen = 0
    for b in range(64):
        fx, fy, cx, cy = batch.intrinsics[b]
        z = batch.depth[b, 0]
        cloud = torch.stack(((u - cx) / fx * z, -(v - cy) / fy * z, z), dim=-1)
        floor = cloud[(index[b] == scene.geometry.ids_BP.shape[1] + FLOOR).view(SIZE)]
        seen += len(floor)
        if len(floor) == 0:
            continue
        # World up in the camera's axes: right, up, forward.
        upward = torch.stack((right[b, 1], up[b, 1], forward[b, 1]))
        assert (floor @ upward + scene.view.position_B3[b, 1]).abs().max() < 2e-3
    assert seen > 64 * 50


def test_images_do_not_depend_on_their_batch() -> None:
    chosen = [9, 60, 3]
    whole, few = _pictures()[0], render("interiors", 5, torch.tensor(chosen), SIZE)
    torch.testing.assert_close(whole.image[chosen], few.image)
    assert whole.depth is not None and whole.instances is not None and few.depth is not None
    torch.testing.assert_close(whole.depth[chosen], few.depth)
    assert torch.equal(whole.instances[chosen], few.instances)  # type: ignore[arg-type]
    assert whole.intrinsics is not None and len(set(whole.intrinsics[:, 0].tolist())) > 60


def test_most_images_have_objects_to_cut() -> None:
    batch, _, _ = _pictures()
    assert batch.instances is not None
    eligible = []
    for image in batch.instances:
        ids, counts = torch.unique(image, return_counts=True)
        share = counts / image.numel()
        eligible.append(int(((ids > 0) & (share >= 0.005) & (share <= 0.5)).sum()))
    assert sum(n >= 3 for n in eligible) > 0.85 * len(eligible)
    assert max(eligible) >= 8


def test_an_object_is_one_id_and_the_room_is_none() -> None:
    scene = _scenes()
    ids = scene.geometry.ids_BP
    frame = FRAME_BOXES * 8
    assert ids.shape[1] == frame + FRAME_BOXES + TILTED + TURNED
    assert torch.equal(
        ids[:, :frame].view(len(ids), 8, FRAME_BOXES), torch.arange(1, 9)[None, :, None].expand(len(ids), 8, 6)
    )
    assert (ids[:, frame : frame + FRAME_BOXES] == 0).all()
    assert ids.min() == 0 and ids.max() <= OBJECTS
    assert scene.decals is not None and scene.decals.ids_BD is not None
    flat = scene.decals.ids_BD[0]
    assert flat[flat > 0].tolist() == list(range(OBJECTS + 1, OBJECTS + 1 + int((flat > 0).sum())))


def test_shell_pixels_without_a_picture_or_rug_are_no_object() -> None:
    batch, scene, index = _pictures()
    assert batch.instances is not None
    solids = scene.geometry.ids_BP.shape[1]
    ids = batch.instances.flatten(1)
    on_solid = index < solids
    assert torch.equal(ids[on_solid], scene.geometry.ids_BP.gather(1, index.clamp(max=solids - 1))[on_solid])
    on_shell = ids[~on_solid]
    assert set(on_shell[on_shell > 0].tolist()) <= set(range(OBJECTS + 1, OBJECTS + 16))
    assert 0.0 < (on_shell > 0).float().mean() < 0.3


def test_catalogue_is_sound() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 50
    named = {name for room in ROOMS.values() for name in room.favours}
    assert named <= {kind.name for kind in KINDS}
    for kind in KINDS:
        upright = [p for p in kind.parts if p.upright]
        others = [p for p in kind.parts if not p.upright]
        assert all(0 < low <= high for low, high in zip(kind.low, kind.high, strict=True)), kind.name
        assert len(kind.sites) <= SITES and 1 <= len(kind.looks) <= LOOKS
        assert max(p.look for p in kind.parts) < len(kind.looks), kind.name
        assert {name for row in kind.looks for name in row} <= set(MATERIALS), kind.name
        if kind in FURNITURE:
            assert len(upright) <= FRAME_BOXES and len(others) <= LOOSE_PARTS, kind.name
        else:
            assert len(kind.parts) <= LOOSE_PARTS, kind.name
        for p in kind.parts:
            for end in range(0, 6, 2):
                for size in (kind.low[end // 2], kind.high[end // 2]):
                    low, high = (p.fraction[end + i] * size + p.metres[end + i] for i in (0, 1))
                    assert low < high, f"{kind.name}: a part has no extent"
    for room in ROOMS.values():
        assert {*room.floors, *room.walls} <= set(MATERIALS)


def test_all_classes_occur() -> None:
    _, _, furniture, others = _laid_out()
    assert set(furniture.kind[furniture.exists].tolist()) == set(range(len(FURNITURE)))
    seen = {number for pieces in others[:3] for number in pieces.kind[pieces.exists].tolist()}
    assert seen == set(range(len(LOOSE)))
    assert set(others[3].kind[others[3].exists].tolist()) == set(range(len(LOOSE)))


def test_furniture_stands_in_the_room_and_apart() -> None:
    room, (center, half, exists), furniture, (rounds, *_) = _laid_out()
    place = torch.cat((furniture.place, rounds.place), dim=1)
    size = torch.cat((furniture.size, rounds.size), dim=1)
    turn = torch.cat((furniture.turn, rounds.turn), dim=1)
    there = torch.cat((furniture.exists, rounds.exists), dim=1)
    # Plans as boxes along the walls: half extents of the turned plans.
    reach = (turn[..., 0, 0::2].abs() * size[..., :1] + turn[..., 2, 0::2].abs() * size[..., 2:]) * 0.5
    assert (place[..., 0::2].abs() + reach <= room[:, None, 0::2] * 0.5)[there].all()
    assert (place[..., 1] + size[..., 1] <= room[:, 1, None] + 1e-4)[there].all()
    gap = ((place[:, :, None, 0::2] - place[:, None, :, 0::2]).abs() - reach[:, :, None] - reach[:, None]).amax(-1)
    pairs = there[:, :, None] & there[:, None] & ~torch.eye(12, dtype=torch.bool)
    assert gap[pairs].min() > 0.0
    low = exists & (center[..., 1] - half[..., 1] < 1.0)
    gap = (
        (place[:, :, None, 0::2] - center[:, None, :, 0::2]).abs() - reach[:, :, None] - half[:, None, :, 0::2]
    ).amax(-1)
    assert gap[there[:, :, None] & low[:, None]].min() > 0.0
    assert 4.0 < furniture.exists.float().sum(1).mean() < 7.0


def test_distribution_is_the_documented_one() -> None:
    scene = _scenes()
    room, view = scene.geometry.room_B3, scene.view
    assert room[:, 0::2].min() >= 1.5 and room[:, 0::2].max() <= 9.2
    assert room[:, 1].min() >= 2.3 and room[:, 1].max() <= 3.8
    angle = 2.0 * view.tan_half_B.atan() * 180.0 / math.pi
    assert 44.0 <= angle.min() < 52.0 and 72.0 < angle.max() <= 80.0
    degrees = 180.0 / math.pi
    assert -38.0 <= (view.pitch_B * degrees).min() < -25.0 and 2.0 < (view.pitch_B * degrees).max() <= 12.0
    assert 4.0 < (view.roll_B * degrees).abs().max() <= 15.0
    assert 0.7 <= view.position_B3[:, 1].min() < 1.0 and 1.9 < view.position_B3[:, 1].max() <= 2.1
    assert isinstance(scene.lighting, Lamps) and scene.photo is not None
    assert 0.05 < scene.lighting.sun_B.float().mean() < 0.35
    assert scene.photo.exposure_B.min() >= 0.06 and scene.photo.exposure_B.max() <= 0.6
    assert scene.photo.balance_B3.min() >= 0.7 and scene.photo.balance_B3.max() <= 1.3
    assert scene.photo.noise_B.max() <= 0.07 and scene.photo.blur_B.max() <= 1.5
    assert scene.finish_BMF is not None and torch.isfinite(scene.finish_BMF).all()
    assert torch.isfinite(scene.materials_BMF).all()
    depth = _pictures()[0].depth
    assert depth is not None and depth.max() < 12.0
    assert (depth < 10.0).float().mean() > 0.99


def test_source_passes_the_kit() -> None:
    check_source("sim:interiors,count=3,size=12x16")


def test_document_lists_what_there_is() -> None:
    text = DOCUMENT.read_text()
    assert f"| materials | {len(MATERIALS)}: " in text and f"\n{len(KINDS)} classes: " in text
    for kind in KINDS:
        sizes = " x ".join(f"{low:g}-{high:g}" for low, high in zip(kind.low, kind.high, strict=True))
        assert f"| {kind.name} | {sizes} |" in text
    for name, room in ROOMS.items():
        sides = f"{room.width[0]:g}-{room.width[1]:g} | {room.length[0]:g}-{room.length[1]:g}"
        assert f"| {name} | {sides} | {room.height[0]:g}-{room.height[1]:g} |" in text
