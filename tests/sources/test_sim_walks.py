"""Walks: views of one scene, from where nothing stands, along a smooth path, and a function of their number alone."""

from __future__ import annotations

import pytest
import torch

from kdcli.errors import DataError, SpecError
from kdcli.sources.sim import WALKED, SimSource
from kdcli.sources.sim.camera import clearance
from kdcli.sources.sim.hashing import scene_keys
from kdcli.sources.sim.render import WORLDS, render
from kdcli.sources.sim.scene import Scene
from kdcli.sources.sim.walks import walked

SIZE = (24, 32)


def along(world: str, scenes: int, views: int) -> tuple[Scene, torch.Tensor]:
    """All views of some scenes, one scene after another."""
    numbers = torch.arange(scenes * views)
    scene = WORLDS[world](scene_keys(world, 0, numbers // views))
    return walked(scene, numbers % views, views), numbers


@pytest.mark.parametrize("world", WALKED)
def test_a_view_depends_on_its_number_alone(world: str) -> None:
    source = SimSource("walks", world=world, views=20)
    together = source.batch([3, 21, 47], SIZE)
    for place, index in enumerate((3, 21, 47)):
        alone = source.batch([index], SIZE)
        assert alone.depth is not None and together.depth is not None
        torch.testing.assert_close(alone.depth[0], together.depth[place], rtol=1e-5, atol=1e-5)
        # Sums outdoors may be taken in another order: an edge of a pattern may fall beside a pixel's middle.
        assert (alone.image[0] - together.image[place]).abs().mean() < 1e-5
    assert together.ids == (f"{world}/0/0/3", f"{world}/0/1/1", f"{world}/0/2/7")


@pytest.mark.parametrize("world", WALKED)
def test_views_of_a_walk_are_of_one_scene_and_differ(world: str) -> None:
    views, own = render(world, 0, torch.arange(6), SIZE, views=6), render(world, 0, torch.arange(1), SIZE)
    assert views.instances is not None and own.instances is not None
    seen = {number for row in views.instances for number in row.unique().tolist()}
    assert len(seen & set(own.instances.unique().tolist()) - {0}) > 0
    assert all((views.image[k] - views.image[k - 1]).abs().mean() > 1e-3 for k in range(1, 6))
    assert views.depth is not None
    assert all(not torch.equal(views.depth[k], views.depth[k - 1]) for k in range(1, 6))


@pytest.mark.parametrize("world", WALKED)
def test_the_camera_is_never_inside_of_anything(world: str) -> None:
    scene, _ = along(world, 12, 24)
    assert (clearance(scene.geometry, scene.view.position_B3, 0.0) > 0.0).all()


@pytest.mark.parametrize("world", WALKED)
def test_paths_are_smooth_and_most_of_them_go_somewhere(world: str) -> None:
    scene, _ = along(world, 16, 100)
    place = scene.view.position_B3.view(16, 100, 3)
    steps = (place[:, 1:] - place[:, :-1]).norm(dim=-1)
    assert steps.max() < 0.5
    length = (place - place[:, :1]).norm(dim=-1).amax(1)
    assert (length > 0.5).float().mean() >= 0.5


@pytest.mark.parametrize("world", ["rooms", "blocks", "interiors"])
def test_views_show_rooms_and_not_walls_from_near(world: str) -> None:
    batch = render(world, 0, torch.arange(240), SIZE, views=24)
    assert batch.depth is not None and batch.instances is not None
    assert (batch.depth < 0.8).float().mean() < 0.06
    assert ((batch.instances > 0).flatten(1).any(1)).float().mean() > 0.9


def test_the_noise_of_the_sensor_is_another_in_every_view() -> None:
    batch = render("rooms", 0, torch.arange(2), SIZE, views=10**6)
    # A millionth of the way is no way at all: what differs is the noise.
    assert batch.depth is not None and (batch.depth[0] - batch.depth[1]).abs().max() < 1e-2
    assert (batch.image[0] - batch.image[1]).abs().mean() > 1e-4


@pytest.mark.parametrize(
    ("location", "keys", "told"),
    [
        ("walks", {}, "world=interiors"),
        ("walks", {"world": "noise"}, "nothing walks through world=noise"),
        ("walks", {"world": "room"}, "rooms"),
        ("walks", {"world": "rooms", "views": 1}, "views=1 is too small"),
        ("walks", {"world": "rooms", "views": "many"}, "views=many is not a whole number"),
        ("blocks", {"views": 30}, "sim:walks,world=blocks"),
        ("noise", {"world": "rooms"}, "sim:walks,world=rooms"),
    ],
)
def test_what_cannot_be_walked_through_is_refused(location: str, keys: dict[str, str], told: str) -> None:
    with pytest.raises((SpecError, DataError), match=told):
        SimSource(location, **keys)  # type: ignore[arg-type]
