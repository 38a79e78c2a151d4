"""Simulated sources: reproducible, geometrically right, tied to no device."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kdcli.cameras import resize_camera
from kdcli.errors import DataError, KdcliError, SpecError
from kdcli.sources.sim import ENDLESS, SimSource
from kdcli.sources.sim.camera import clearance, view_rays
from kdcli.sources.sim.hashing import Dice, pixel_noise, scene_keys
from kdcli.sources.sim.primitives import blocked, nearest_hit
from kdcli.sources.sim.rays import Rays
from kdcli.sources.sim.render import WORLDS, render
from kdcli.sources.sim.scene import BURIED, Geometry, Solids, View
from kdcli.types import DepthKind

SIZE = (24, 32)


def _solids(rows: list[tuple[tuple[float, ...], tuple[float, ...], float]]) -> Solids:
    """Build solids of one scene from (centre, half sizes, yaw); one buried solid where there is none."""
    rows = rows or [((0.0, BURIED, 0.0), (0.001,) * 3, 0.0)]
    return Solids(
        center=torch.tensor([[row[0] for row in rows]]),
        half=torch.tensor([[row[1] for row in rows]]),
        yaw=torch.tensor([[row[2] for row in rows]]),
    )


def _geometry(
    boxes: list[tuple[tuple[float, ...], tuple[float, ...], float]] | None = None,
    ellipsoids: list[tuple[tuple[float, ...], tuple[float, ...], float]] | None = None,
    cylinders: list[tuple[tuple[float, ...], tuple[float, ...], float]] | None = None,
) -> Geometry:
    """Build one room of 4 x 2.5 x 6 m with solids."""
    box, ball, can = _solids(boxes or []), _solids(ellipsoids or []), _solids(cylinders or [])
    count = box.yaw.shape[1] + ball.yaw.shape[1] + can.yaw.shape[1]
    return Geometry(
        room_B3=torch.tensor([[4.0, 2.5, 6.0]]),
        pivot_BG3=box.center,
        boxes=Solids(center=torch.zeros_like(box.center)[:, :, None], half=box.half[:, :, None], yaw=box.yaw),
        ellipsoids=ball,
        cylinders=can,
        ids_BP=torch.arange(1, count + 1)[None],
    )


def _view(z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0, tan_half: float = 0.5) -> View:
    """Look along +z from (0, 1.5, z)."""
    return View(
        position_B3=torch.tensor([[0.0, 1.5, z]]),
        yaw_B=torch.tensor([yaw]),
        pitch_B=torch.tensor([pitch]),
        roll_B=torch.tensor([0.0]),
        tan_half_B=torch.tensor([tan_half]),
    )


def _cast(geometry: Geometry, view: View, size: tuple[int, int] = (9, 13)) -> tuple[Tensor, Tensor]:
    depth, index = nearest_hit(view_rays(view, size), geometry)
    return depth.view(size), index.view(size)


def test_wall_has_one_z_depth() -> None:
    depth, index = _cast(_geometry(), _view(z=-1.0, tan_half=0.2))
    assert torch.allclose(depth, torch.full_like(depth, 4.0))
    assert (index == 3 + 5).all()


def test_floor_depth_follows_from_height_and_row() -> None:
    size = (64, 9)
    depth, index = _cast(_geometry(), _view(z=-2.9), size)
    focal = 0.5 * size[1] / 0.5
    below = (torch.arange(size[0]) + 0.5 - 32.0) / focal
    floor = index[:, 4] == 3 + 2
    assert floor.sum() > 10
    assert torch.allclose(depth[floor, 4], 1.5 / below[floor], rtol=1e-4)


def test_box_face_is_a_plane_and_turned_box_is_nearer() -> None:
    straight = _geometry(boxes=[((0.0, 1.5, 2.0), (0.5, 0.5, 0.5), 0.0)])
    depth, index = _cast(straight, _view(tan_half=0.1))
    assert torch.allclose(depth, torch.full_like(depth, 1.5)) and (index == 0).all()
    turned = _geometry(boxes=[((0.0, 1.5, 2.0), (0.5, 0.5, 0.5), math.pi / 4)])
    depth, _ = _cast(turned, _view(tan_half=0.1))
    assert depth[4, 6].item() == pytest.approx(2.0 - 0.5 * math.sqrt(2.0), abs=1e-4)


def test_ellipsoid_and_cylinder_at_known_distances() -> None:
    ball = _geometry(ellipsoids=[((0.0, 1.5, 2.0), (0.3, 0.4, 0.5), 0.0)])
    depth, index = _cast(ball, _view())
    assert depth[4, 6].item() == pytest.approx(1.5, abs=1e-4)
    assert index[4, 6] == 1
    can = _geometry(cylinders=[((0.0, 1.5, 2.0), (0.25, 0.5, 0.25), 0.3)])
    depth, index = _cast(can, _view())
    assert depth[4, 6].item() == pytest.approx(1.75, abs=1e-4)
    assert index[4, 6] == 2
    above = replace(_view(), pitch_B=torch.tensor([-math.pi / 2 + 1e-4]), position_B3=torch.tensor([[0.0, 2.4, 2.0]]))
    depth, _ = _cast(can, above)
    assert depth[4, 6].item() == pytest.approx(0.4, abs=1e-3)


def test_chunks_of_solids_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = WORLDS["rooms"](scene_keys("rooms", 0, torch.arange(3)))
    rays = view_rays(scene.view, SIZE)
    depth, index = nearest_hit(rays, scene.geometry)
    for budget in (1, 2 * rays.x_BN.numel(), 5 * rays.x_BN.numel(), 13 * rays.x_BN.numel()):
        monkeypatch.setattr("kdcli.sources.sim.primitives._CHUNK", {"cpu": budget})
        again = nearest_hit(rays, scene.geometry)
        assert torch.equal(depth, again[0]) and torch.equal(index, again[1])


def test_shadow_rays_stop_at_their_end() -> None:
    geometry = _geometry(boxes=[((0.0, 1.5, 2.0), (0.5, 0.5, 0.5), 0.0)])
    z = torch.tensor([[1.0, 1.49, 3.0, -1.0]])
    rays = Rays(origin_B3=torch.tensor([[0.0, 1.5, 0.0]]), x_BN=torch.zeros_like(z), y_BN=torch.zeros_like(z), z_BN=z)
    assert blocked(rays, geometry, 1.0).tolist() == [[False, False, True, False]]


@pytest.mark.parametrize("world", ["rooms", "blocks", "interiors", "streets"])
def test_scene_depends_on_its_number_alone(world: str) -> None:
    whole = render(world, 3, torch.arange(12), SIZE)
    for chosen in ([7], [11, 2], [4, 5, 6, 7, 8]):
        part = render(world, 3, torch.tensor(chosen), SIZE)
        assert part.ids == tuple(f"{world}/3/{i}" for i in chosen)
        assert part.depth is not None and whole.depth is not None
        assert part.instances is not None and whole.instances is not None
        torch.testing.assert_close(part.image, whole.image[chosen])
        torch.testing.assert_close(part.depth, whole.depth[chosen])
        assert torch.equal(part.instances, whole.instances[chosen])


@pytest.mark.parametrize(
    ("world", "median"),
    [
        ("rooms", [2.8869, 3.8113, 3.6844, 4.0233, 2.1958, 3.4864]),
        ("blocks", [2.1301, 5.0011, 3.4778, 3.3929, 2.7759, 4.3312]),
        ("interiors", [1.9575, 3.6760, 2.3601, 2.3762, 2.9570, 2.9402]),
        ("streets", [8.3926, 9.8954, 9.7380, 12.1868, 7.8113, 5.3374]),
    ],
)
def test_worlds_stay_as_they_were(world: str, median: list[float]) -> None:
    """Trained weights and published numbers refer to these scenes: whoever changes a world changes this on purpose."""
    batch = render(world, 0, torch.arange(6), SIZE)
    assert batch.depth is not None
    assert batch.depth.flatten(1).median(1).values.tolist() == pytest.approx(median, abs=2e-3)


@pytest.mark.parametrize(
    ("world", "means"),
    [
        ("rooms", [0.5912, 0.5604, 0.5049, 0.4764, 0.5303, 0.4991]),
        ("blocks", [0.3786, 0.5786, 0.5508, 0.5012, 0.4308, 0.4677]),
        ("interiors", [0.5404, 0.5567, 0.4994, 0.5640, 0.4811, 0.6262]),
        ("streets", [0.4786, 0.3799, 0.4693, 0.5221, 0.4607, 0.4791]),
    ],
)
def test_pictures_stay_as_they_were(world: str, means: list[float]) -> None:
    batch = render(world, 0, torch.arange(6), SIZE)
    assert batch.image.mean((1, 2, 3)).tolist() == pytest.approx(means, abs=1e-3)


@pytest.mark.parametrize("world", ["rooms", "blocks", "interiors", "streets"])
def test_another_size_is_the_same_scene(world: str) -> None:
    small = render(world, 0, torch.arange(4), (24, 32))
    large = render(world, 0, torch.arange(4), (72, 96))
    assert small.depth is not None and large.depth is not None
    assert small.intrinsics is not None and large.intrinsics is not None
    # The middle of three by three pixels lies on the same ray.
    gap = (large.depth[..., 1::3, 1::3] - small.depth).abs()
    assert (gap <= 1e-3 * small.depth).float().mean() > 0.995
    torch.testing.assert_close(large.intrinsics, resize_camera(small.intrinsics, (24, 32), (72, 96)))


def test_depth_and_intrinsics_agree_with_the_shell() -> None:
    batch = render("rooms", 0, torch.arange(8), SIZE)
    assert batch.depth is not None and batch.intrinsics is not None and batch.instances is not None
    scene = WORLDS["rooms"](scene_keys("rooms", 0, torch.arange(8)))
    rays = view_rays(scene.view, SIZE)
    z = batch.depth.flatten(1)
    planes = torch.stack((rays.x_BN, rays.y_BN, rays.z_BN))
    point = scene.view.position_B3.T[..., None] + z * planes
    half = scene.geometry.room_B3.T[..., None] * 0.5
    center = torch.stack((torch.zeros_like(half[0]), half[1], torch.zeros_like(half[0])))
    gap = (half - (point - center).abs()).amin(0)
    assert gap.min() > -1e-3
    on_shell = batch.instances.flatten(1) == 0
    assert gap[on_shell].abs().max() < 1e-3
    focal = batch.intrinsics[:, 0]
    assert (2.0 * torch.atan(0.5 * SIZE[1] / focal) * 180.0 / math.pi).sub(60.0).abs().max() <= 5.0
    assert torch.equal(batch.intrinsics[:, 0], batch.intrinsics[:, 1])


@pytest.mark.parametrize("world", ["rooms", "blocks", "interiors"])
def test_views_are_free_and_pictures_sound(world: str) -> None:
    numbers = torch.arange(64)
    batch = render(world, 1, numbers, SIZE)
    scene = WORLDS[world](scene_keys(world, 1, numbers))
    assert clearance(scene.geometry, scene.view.position_B3, 0.0).min() > 0.2
    assert batch.depth is not None and batch.valid is not None and batch.instances is not None
    assert batch.labelled is not None
    assert batch.image.dtype == torch.float32 and batch.image.shape == (64, 3, *SIZE)
    assert torch.isfinite(batch.image).all() and batch.image.min() >= 0.0 and batch.image.max() <= 1.0
    assert torch.isfinite(batch.depth).all() and batch.depth.max() < 12.0
    assert (batch.depth < 0.35).float().mean((1, 2, 3)).max() < 0.1
    assert 1.5 < batch.depth.median() < 4.5
    assert batch.valid.all() and batch.labelled.all()
    # Hardly a picture without an object, and never more numbers than objects.
    has_object = (batch.instances > 0).flatten(1).any(1)
    assert has_object.float().mean() > 0.9
    ids = {0, *scene.geometry.ids_BP.flatten().tolist()}
    if scene.decals is not None and scene.decals.ids_BD is not None:
        ids |= set(scene.decals.ids_BD.flatten().tolist())
    assert set(batch.instances.flatten().tolist()) <= ids
    assert (batch.instances == 0).flatten(1).any(1).all()


def test_worlds_and_seeds_share_no_scene() -> None:
    numbers = torch.arange(64)
    keys = [scene_keys(world, seed, numbers) for world in WORLDS for seed in (-1, 0, 1, 2, 1000)]
    assert len(set(torch.cat(keys).tolist())) == 64 * len(keys)
    first, second = render("rooms", 0, numbers[:4], SIZE), render("rooms", 1, numbers[:4], SIZE)
    assert first.depth is not None and second.depth is not None
    assert ((first.depth - second.depth).abs().flatten(1).mean(1) > 0.01).all()


def test_dice_are_uniform_and_slots_independent() -> None:
    dice = Dice(scene_keys("rooms", 0, torch.arange(2000)))
    first, second = dice.uniform(4), dice.uniform(4)
    for draw in (first, second):
        assert draw.min() >= 0.0 and draw.max() < 1.0
        assert draw.mean().item() == pytest.approx(0.5, abs=0.02)
        assert draw.var().item() == pytest.approx(1.0 / 12.0, abs=0.005)
    columns = torch.cat((first, second), dim=1)
    assert (torch.corrcoef(columns.T) - torch.eye(8)).abs().max() < 0.1
    picks = dice.weighted(weights=(1.0, 0.0, 3.0))
    assert (picks == 1).sum() == 0 and (picks == 2).float().mean().item() == pytest.approx(0.75, abs=0.05)
    noise = pixel_noise(dice.keys[:4], 4096)
    assert noise.mean().abs() < 0.02 and noise.std().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("world", ["rooms", "blocks", "interiors", "streets"])
def test_nothing_is_tied_to_the_cpu(world: str) -> None:
    batch = render(world, 0, torch.arange(2), SIZE, device="meta")
    tensors = (batch.image, batch.depth, batch.valid, batch.instances, batch.intrinsics, batch.labelled)
    assert all(tensor is not None and tensor.device.type == "meta" for tensor in tensors)


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    render("rooms", 0, torch.arange(2), SIZE)
    assert torch.equal(before, torch.get_rng_state())


def test_source_as_plugin() -> None:
    source = SimSource("rooms", count=5, seed=2, size="24x32")
    assert (len(source), source.name, source.depth_kind) == (5, "sim:rooms", DepthKind.METRIC)
    sample = source[4]
    batch = source.batch([3, 4], None, "cpu")
    assert sample.id == "rooms/2/4" == batch.ids[1]
    assert sample.depth is not None and sample.instances is not None and sample.intrinsics is not None
    assert sample.image.shape == (3, 24, 32) and sample.depth.shape == (1, 24, 32)
    assert sample.instances.shape == (24, 32) and sample.intrinsics.shape == (4,)
    torch.testing.assert_close(sample.image, batch.image[1])
    assert source.batch(torch.tensor([0]), (16, 24), "cpu").image.shape == (1, 3, 16, 24)
    with pytest.raises(IndexError):
        source[5]
    assert len(SimSource("blocks")) == ENDLESS
    assert [finding.level for finding in source.check()] == ["info"]


@pytest.mark.parametrize(
    ("location", "options", "words"),
    [
        ("room", {}, ("'room'", "Did you mean 'rooms'", "blocks")),
        (None, {}, ("sim:rooms",)),
        ("rooms", {"size": "big"}, ("size=big", "96x128")),
        ("rooms", {"size": "2x2"}, ("size=2x2",)),
        ("rooms", {"count": 0}, ("count=0",)),
        ("rooms", {"seed": "x"}, ("seed=x",)),
    ],
)
def test_errors_are_one_line_and_say_what_to_do(
    location: str | None, options: dict[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(KdcliError) as caught:
        SimSource(location, **options)  # type: ignore[arg-type]
    assert isinstance(caught.value, (DataError, SpecError))
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words)


def test_source_is_light_to_import() -> None:
    code = "import sys, kdcli.sources.sim as s; s.SimSource('rooms').check(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
