"""The simulated world ``streets``: roads with depth, skies without, the distribution that its document states."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kdcli.sources.sim import DOMAIN_WORLDS, SimSource, world_of
from kdcli.sources.sim.camera import axes, clearance, view_rays
from kdcli.sources.sim.hashing import Dice, scene_keys
from kdcli.sources.sim.kinds import LOOKS, Pieces
from kdcli.sources.sim.primitives import nearest_hit
from kdcli.sources.sim.render import render
from kdcli.sources.sim.scene import BURIED, CEILING, FACES, FLOOR, Scene
from kdcli.sources.sim.streets import planting, traffic
from kdcli.sources.sim.streets.catalogue import (
    AXLES,
    KINDS,
    THING_PARTS,
    THINGS,
    VEHICLE_BOXES,
    VEHICLE_PARTS,
    VEHICLES,
)
from kdcli.sources.sim.streets.facades import PANES
from kdcli.sources.sim.streets.lots import PLOTS, draw_lots
from kdcli.sources.sim.streets.materials import MATERIALS
from kdcli.sources.sim.streets.paint import FAR, NEAR, Street
from kdcli.sources.sim.streets.planting import draw_things
from kdcli.sources.sim.streets.road import Road, draw_road
from kdcli.sources.sim.streets.solids import OBJECTS
from kdcli.sources.sim.streets.traffic import draw_traffic
from kdcli.sources.sim.streets.walks import draw_walks
from kdcli.sources.sim.streets.world import streets
from kdcli.testing import check_source
from kdcli.types import Batch

SIZE = (24, 80)
DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"
DEGREES = 180.0 / math.pi


@cache
def _scenes(count: int = 200) -> Scene:
    return streets(scene_keys("streets", 5, torch.arange(count)))


@cache
def _pictures() -> tuple[Batch, Scene, Tensor, Tensor]:
    """Return 48 rendered scenes: the batch, the scenes, and how far and on which surface each pixel is."""
    batch = render("streets", 5, torch.arange(48), SIZE)
    scene = streets(scene_keys("streets", 5, torch.arange(48)))
    assert scene.outdoors is not None
    depth, index = nearest_hit(scene.outdoors.aim(view_rays(scene.view, SIZE)), scene.geometry)
    return batch, scene, depth, index


@cache
def _laid_out(count: int = 800) -> tuple[Road, Pieces, Pieces]:
    """Lay out scenes without looking at them: roads, vehicles, other things."""
    dice = Dice(scene_keys("streets", 9, torch.arange(count)))
    road = draw_road(dice)
    _, rise = draw_walks(dice, road)
    draw_lots(dice, road, rise > 0.0)
    return road, draw_traffic(dice, road), draw_things(dice, road, rise)


def _street(scene: Scene) -> Street:
    assert isinstance(scene.outdoors, Street)
    return scene.outdoors


def test_level_road_has_the_depth_of_a_plane_at_the_height_of_the_camera() -> None:
    batch, scene, depth, index = _pictures()
    assert batch.depth is not None and batch.intrinsics is not None
    _, up, forward = axes(scene.view)
    right = axes(scene.view)[0]
    v, u = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    knots = scene.geometry.ground.knots_BK if scene.geometry.ground is not None else None
    assert knots is not None
    seen = 0
    for b in range(len(depth)):
        fx, fy, cx, cy = batch.intrinsics[b]
        ray = torch.stack(((u - cx) / fx, -(v - cy) / fy, torch.ones(SIZE)), dim=-1)
        down = -(ray @ torch.stack((right[b, 1], up[b, 1], forward[b, 1])))
        expected = scene.view.position_B3[b, 1] / down
        on_road = (index[b] == scene.geometry.ids_BP.shape[1] + FLOOR).view(SIZE)
        ahead = expected * (ray @ torch.stack((right[b, 2], up[b, 2], forward[b, 2])))
        level = on_road & (ahead < knots[b, 1]) & (down > 0.0) & batch.valid[b, 0]  # type: ignore[index]
        seen += int(level.sum())
        torch.testing.assert_close(batch.depth[b, 0][level], expected[level], rtol=1e-4, atol=1e-3)
    assert seen > 48 * 200


def test_ground_is_without_steps_and_met_where_it_is() -> None:
    _, scene, depth, index = _pictures()
    ground = scene.geometry.ground
    assert ground is not None
    for k in range(1, ground.knots_BK.shape[1]):
        before, after = (ground.at(ground.knots_BK[:, k, None] + step) for step in (-1e-3, 1e-3))
        assert (before - after).abs().max() < 1e-3
    rays = view_rays(scene.view, SIZE)
    y = scene.view.position_B3[:, 1, None] + depth * rays.y_BN
    z = scene.view.position_B3[:, 2, None] + depth * rays.z_BN
    here = (index == scene.geometry.ids_BP.shape[1] + FLOOR) & (depth < 200.0)
    assert (y - ground.at(z))[here].abs().max() < 0.02
    assert (y[here] < -0.3).any() and (y[here] > 0.3).any()


def test_sky_has_no_depth_and_what_has_is_within_reach() -> None:
    batch, scene, depth, index = _pictures()
    assert batch.depth is not None and batch.valid is not None
    valid = batch.valid.flatten(1)
    sky = index == scene.geometry.ids_BP.shape[1] + CEILING
    assert 0.05 < sky.float().mean() < 0.4 and not valid[sky].any()
    assert torch.equal(valid, (depth >= NEAR) & (depth <= FAR))
    assert (batch.depth.flatten(1)[~valid] == 0.0).all()
    assert batch.depth[batch.valid].min() >= 1.0 and batch.depth[batch.valid].max() <= 80.0
    assert batch.labelled is not None and batch.labelled.all() and valid.float().mean(1).min() > 0.4


def test_depth_is_spread_as_in_pictures_of_real_streets() -> None:
    """Twelfths of a KITTI frame below its middle have mean depths of about 31, 19, 13, 10, 8 and 7 m."""
    batch = _pictures()[0]
    assert batch.depth is not None and batch.valid is not None
    rows = batch.depth[:, 0].movedim(1, 0).reshape(12, -1)
    known = batch.valid[:, 0].movedim(1, 0).reshape(12, -1)
    mean = [float(row[ok].mean()) for row, ok in zip(rows, known, strict=True)]
    assert mean[6:] == pytest.approx([26.0, 17.0, 12.0, 9.2, 7.4, 6.2], rel=0.2)
    assert all(a > b for a, b in pairwise(mean[5:]))
    assert 9.0 < batch.depth[batch.valid].median() < 17.0


def test_images_do_not_depend_on_their_batch() -> None:
    chosen = [9, 40, 3]
    whole, few = _pictures()[0], render("streets", 5, torch.tensor(chosen), SIZE)
    one = render("streets", 5, torch.tensor(chosen[:1]), SIZE)
    for part, rows in ((few, chosen), (one, chosen[:1])):
        torch.testing.assert_close(part.image, whole.image[rows])
        torch.testing.assert_close(part.depth, whole.depth[rows])  # type: ignore[index]
        assert torch.equal(part.instances, whole.instances[rows])  # type: ignore[arg-type, index]
        assert torch.equal(part.valid, whole.valid[rows])  # type: ignore[arg-type, index]
    assert whole.intrinsics is not None and len(set(whole.intrinsics[:, 0].tolist())) > 40


def test_scenes_one_by_one_are_the_scenes_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = render("streets", 2, torch.arange(6), SIZE)
    monkeypatch.setattr("kdcli.sources.sim.primitives._apart", lambda rays, geometry: False)
    together = render("streets", 2, torch.arange(6), SIZE)
    torch.testing.assert_close(apart.image, together.image)
    assert torch.equal(apart.instances, together.instances)  # type: ignore[arg-type]
    torch.testing.assert_close(apart.depth, together.depth)


def test_picture_keeps_its_height_of_view_unless_it_is_too_narrow() -> None:
    def views(*size: int) -> tuple[Tensor, Tensor]:
        batch = render("streets", 0, torch.arange(3), (size[0], size[1]))
        assert batch.intrinsics is not None
        fx, fy, cx, cy = batch.intrinsics.unbind(1)
        assert torch.equal(fx, fy) and (2 * cx == size[1] - 1).all() and (2 * cy == size[0] - 1).all()
        return 0.5 * size[1] / fx, 0.5 * size[0] / fy

    wide, usual, square, narrow = views(24, 96), views(24, 80), views(24, 24), views(48, 24)
    torch.testing.assert_close(wide[1], usual[1])
    assert (wide[0] > usual[0]).all()
    torch.testing.assert_close(square[0], 2.0 * usual[1])
    torch.testing.assert_close(narrow[0], square[0])


def test_an_object_is_one_id_and_the_street_is_none() -> None:
    scene = _scenes()
    ids, groups = scene.geometry.ids_BP, 2 * PLOTS
    boxes = ids[:, : (groups + traffic.COUNT) * VEHICLE_BOXES].view(len(ids), -1, VEHICLE_BOXES)
    assert (boxes[:, :groups] == 0).all()
    assert torch.equal(
        boxes[:, groups:],
        torch.arange(1, traffic.COUNT + 1)[None, :, None].expand(len(ids), -1, VEHICLE_BOXES),
    )
    assert ids.min() == 0 and ids.max() <= OBJECTS == traffic.COUNT + planting.COUNT
    batch, small, _, index = _pictures()
    assert batch.instances is not None
    solids = small.geometry.ids_BP.shape[1]
    seen = batch.instances.flatten(1)
    assert (seen[index >= solids] == 0).all()
    own = small.geometry.ids_BP.gather(1, index.clamp(max=solids - 1))
    assert torch.equal(seen[index < solids], own[index < solids])
    kinds = [len(set(image.flatten().tolist())) for image in batch.instances]
    assert sum(count > 5 for count in kinds) > 0.8 * len(kinds)


def test_whole_objects_or_none() -> None:
    """What does not fit is left out whole: no crown without its trunk, no sign without its pole."""
    scene = _scenes()
    things = draw_things_of(200)
    posed = scene.geometry
    assert posed.standing is not None and posed.balls is not None and posed.tilted is not None
    groups = 2 * PLOTS
    first = (groups + traffic.COUNT) * VEHICLE_BOXES
    there = torch.cat(
        [
            solids.center[..., 1] > 0.5 * BURIED
            for solids in (posed.tilted, posed.turned, posed.tapered, posed.standing, posed.balls)
            if solids
        ],
        dim=1,
    )
    owner = posed.ids_BP[:, first:] * there
    for b in range(len(owner)):
        for k in range(planting.COUNT):
            parts = int((owner[b] == traffic.COUNT + 1 + k).sum())
            wanted = len(THINGS[int(things.kind[b, k])].parts) if things.exists[b, k] else 0
            assert parts in (0, wanted)


@cache
def draw_things_of(count: int) -> Pieces:
    dice = Dice(scene_keys("streets", 5, torch.arange(count)))
    road = draw_road(dice)
    _, rise = draw_walks(dice, road)
    draw_lots(dice, road, rise > 0.0)
    draw_traffic(dice, road)
    return draw_things(dice, road, rise)


def test_catalogue_is_sound() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 30
    assert set(AXLES) == {kind.name for kind in VEHICLES}
    for kind in KINDS:
        upright = [p for p in kind.parts if p.upright]
        assert all(0 < low <= high for low, high in zip(kind.low, kind.high, strict=True)), kind.name
        assert max(p.look for p in kind.parts) < len(kind.looks) <= LOOKS, kind.name
        assert {name for row in kind.looks for name in row} <= set(MATERIALS), kind.name
        if kind in VEHICLES:
            assert len(upright) <= VEHICLE_BOXES and len(kind.parts) - len(upright) <= VEHICLE_PARTS, kind.name
        else:
            assert len(kind.parts) <= THING_PARTS, kind.name
        for p in kind.parts:
            for end in range(0, 6, 2):
                for size in (kind.low[end // 2], kind.high[end // 2]):
                    low, high = (p.fraction[end + i] * size + p.metres[end + i] for i in (0, 1))
                    assert low < high, f"{kind.name}: a part has no extent"


def test_all_classes_occur() -> None:
    _, vehicles, things = _laid_out()
    assert set(vehicles.kind[vehicles.exists].tolist()) == set(range(len(VEHICLES)))
    assert set(things.kind[things.exists].tolist()) == set(range(len(THINGS)))
    assert 3.0 < vehicles.exists.float().sum(1).mean() < 7.0
    assert 8.0 < things.exists.float().sum(1).mean() < 18.0


def test_vehicles_stand_on_the_ground_and_apart() -> None:
    road, vehicles, _ = _laid_out()
    x, y, z = vehicles.place.unbind(-1)
    assert (y - road.ground.at(z))[vehicles.exists].abs().max() < 1e-4
    turn, size = vehicles.turn, vehicles.size
    reach = (turn[..., 0, 0::2].abs() * size[..., :1] + turn[..., 2, 0::2].abs() * size[..., 2:]) * 0.5
    place = vehicles.place[..., 0::2]
    gap = ((place[:, :, None] - place[:, None]).abs() - reach[:, :, None] - reach[:, None]).amax(-1)
    pairs = vehicles.exists[:, :, None] & vehicles.exists[:, None] & ~torch.eye(traffic.COUNT, dtype=torch.bool)
    assert gap[pairs].min() > 0.0
    # Driving ones keep to the road; the camera's way is free for some metres.
    assert (z - 0.5 * size[..., 2])[vehicles.exists].min() > 3.0
    assert (road.off(x, z).abs() < road.half_B[:, None] + 0.5)[vehicles.exists].float().mean() > 0.4


def test_buildings_keep_off_the_road() -> None:
    scene = _scenes()
    road, boxes = _street(scene).road, scene.geometry.boxes
    groups = 2 * PLOTS
    center, half = boxes.center[:, :groups, 0], boxes.half[:, :groups, 0]
    there = center[..., 1] > 0.5 * BURIED
    sin, cos = boxes.yaw[:, :groups].sin(), boxes.yaw[:, :groups].cos()
    for dx in (-1.0, 1.0):
        for dz in (-1.0, 1.0):
            x, z = center[..., 0] + dx * half[..., 0], center[..., 2] + dz * half[..., 2]
            pivot = scene.geometry.pivot_BG3[:, :groups]
            off = road.off(pivot[..., 0] + cos * x + sin * z, pivot[..., 2] + cos * z - sin * x)
            assert (off.abs() > road.half_B[:, None] + 0.5)[there].all()
    assert 4.0 < there.float().sum(1).mean() < 11.0


def test_camera_stands_free() -> None:
    scene = _scenes()
    assert clearance(scene.geometry, scene.view.position_B3, 0.0).min() > 0.3
    depth = _pictures()[2]
    assert (depth < 1.5).float().mean(1).max() < 0.1


def test_distribution_is_the_documented_one() -> None:
    scene = _scenes()
    view, street = scene.view, _street(scene)
    road, day = street.road, street.daylight
    height = view.position_B3[:, 1]
    assert 1.25 <= height.min() < 1.45 and 1.9 < height.max() <= 2.1
    assert ((height >= 1.55) & (height <= 1.72)).float().mean() > 0.7
    tall = 2.0 * view.tan_half_B.atan() * DEGREES
    assert 26.4 <= tall.min() < 27.6 and 31.0 < tall.max() <= 32.4
    assert (view.pitch_B * DEGREES).min() >= -5.2 and (view.pitch_B * DEGREES).max() <= 2.0
    assert (view.roll_B * DEGREES).abs().max() <= 1.2 and (view.yaw_B * DEGREES).abs().max() <= 16.0
    assert set(road.lanes_B.tolist()) == {1, 2, 3, 4} and set(road.side_B2.flatten().tolist()) == {0, 1, 2, 3, 4}
    assert road.half_B.min() >= 1.8 and road.half_B.max() <= 7.4
    assert 0.4 < (road.bend_B != 0).float().mean() < 0.7 and road.bend_B.abs().max() <= math.tan(48.0 / DEGREES) + 1e-6
    assert 0.2 < road.crossed_B.float().mean() < 0.4
    assert 0.03 < day.dusk_B.float().mean() < 0.13
    assert day.haze_B.min() >= 0.0001 and 0.01 < day.haze_B.max() <= 0.04
    assert scene.photo is not None and scene.photo.exposure_B.max() <= 0.55
    assert scene.finish_BMF is not None and torch.isfinite(scene.finish_BMF).all()
    assert torch.isfinite(scene.materials_BMF).all()
    assert scene.materials_BMF.shape[1] == scene.geometry.ids_BP.shape[1] + FACES + 9
    assert street.panes_BPF.shape[1:] == (scene.geometry.ids_BP.shape[1], len(PANES))


def test_pictures_are_as_bright_as_real_ones() -> None:
    image = _pictures()[0].image
    assert torch.isfinite(image).all() and image.min() >= 0.0 and image.max() <= 1.0
    assert 0.3 < image.mean() < 0.55 and image.flatten(1).std(1).mean() > 0.18


def test_the_world_of_a_domain() -> None:
    assert (world_of("driving"), world_of("indoor")) == ("sim:streets", "sim:interiors") and world_of(
        "any"
    ) == "sim:interiors"
    assert {SimSource(spec.removeprefix("sim:")).name for spec in DOMAIN_WORLDS.values()} == set(DOMAIN_WORLDS.values())


def test_source_is_wide_and_passes_the_kit() -> None:
    assert SimSource("streets").size == (96, 320)
    check_source("sim:streets,count=3,size=12x40")


def test_document_lists_what_there_is() -> None:
    text = DOCUMENT.read_text()
    assert f"{len(MATERIALS)} materials" in text and f"{len(KINDS)} classes of objects" in text
    for kind in KINDS:
        if kind.name == "gantry":
            continue
        sizes = " x ".join(
            f"{low:g}-{high:g}" if low < high else f"{low:g}" for low, high in zip(kind.low, kind.high, strict=True)
        )
        assert f"| {kind.name} | {sizes} |" in text, kind.name
