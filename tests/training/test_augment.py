from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from kdcli.config import StageConfig
from kdcli.sources.sim import SimSource
from kdcli.training.batches.augment import augment, augment_step
from kdcli.types import Batch

CPU = torch.device("cpu")
ALL: dict[str, Any] = {
    "size": (48, 64), "crop": (32, 40), "rotate": 5.0, "jitter": 0.1, "gamma": (0.9, 1.1), "brightness": (0.9, 1.1),
    "colour": (0.9, 1.1),
}


def stage(**keys: Any) -> StageConfig:
    return StageConfig(name="s", steps=1, **keys)


def rooms(size: tuple[int, int] = (32, 48)) -> Batch:
    base = SimSource("rooms").batch(list(range(8)), size, CPU)
    assert base.intrinsics is not None
    return replace(base, intrinsics=base.intrinsics + torch.tensor([0.0, 0.0, 5.0, 0.0]))


def test_mirroring_moves_everything_together() -> None:
    base = rooms()
    assert base.intrinsics is not None and base.depth is not None and base.instances is not None
    done = augment(base, stage(), torch.Generator().manual_seed(0))
    turned = (done.image != base.image).flatten(1).any(1)
    assert 0 < int(turned.sum()) < 8
    for i in range(8):
        same = lambda t: t[i].flip(-1) if turned[i] else t[i]  # noqa: E731, B023
        assert torch.equal(done.image[i], same(base.image))
        assert torch.equal(done.depth[i], same(base.depth))  # type: ignore[index]
        assert torch.equal(done.instances[i], same(base.instances))  # type: ignore[index]
        centre = 47 - base.intrinsics[i, 2] if turned[i] else base.intrinsics[i, 2]
        assert done.intrinsics is not None and done.intrinsics[i, 2] == centre


def test_flip_and_jitter_draw_what_they_always_drew() -> None:
    """Runs of earlier versions repeat: one draw an image for the mirror, then five for brightness, contrast, colour."""
    base, draws = rooms(), torch.Generator().manual_seed(11)
    done = augment(base, stage(jitter=0.2), torch.Generator().manual_seed(11))
    chosen = torch.rand(8, generator=draws) < 0.5
    image = torch.where(chosen.view(-1, 1, 1, 1), base.image.flip(-1), base.image)
    five = torch.rand(8, 5, 1, 1, generator=draws) * 2 - 1
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    image = ((image - mean) * (1 + 0.2 * five[:, 1:2]) + mean) * (1 + 0.2 * five[:, :1]) * (1 + 0.1 * five[:, 2:])
    assert torch.equal(done.image, image.clamp(0, 1))


def test_a_step_is_a_function_of_seed_stage_and_step() -> None:
    base, made = rooms((48, 64)), stage(**ALL)
    generator = torch.Generator()
    generator.manual_seed(99)
    first = augment_step(base, made, generator, seed=1, step=3)
    others = [
        augment_step(base, made, generator, seed=1, step=4),
        augment_step(base, made, generator, seed=2, step=3),
        augment_step(base, replace(made, name="t"), generator, seed=1, step=3),
    ]
    again = augment_step(base, made, torch.Generator(), seed=1, step=3)
    for name in ("image", "depth", "valid", "instances", "intrinsics"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    assert all(not torch.equal(first.image, other.image) for other in others)
    assert first.image.shape == (8, 3, 32, 40) and float(first.image.min()) >= 0 and float(first.image.max()) <= 1


def test_nothing_asked_for_is_nothing_done() -> None:
    base = rooms()
    assert augment(base, stage(flip=False), torch.Generator()) is base


def test_the_stage_decides_whether_cached_maps_are_turned() -> None:
    base = rooms((48, 64))
    assert base.depth is not None
    base, made = replace(base, taught=base.depth), stage(size=(48, 64), rotate=20.0, rotate_probability=1.0)
    turned = augment(base, made, torch.Generator().manual_seed(1))
    assert torch.equal(turned.taught, turned.depth)  # type: ignore[arg-type]
    object.__setattr__(made, "rotate_taught", False)  # a configuration takes it only beside a cache
    upright = augment(base, made, torch.Generator().manual_seed(1))
    assert torch.equal(upright.depth, turned.depth)  # type: ignore[arg-type]
    mirrored = augment(base, replace(stage(), size=(48, 64)), torch.Generator().manual_seed(1))
    assert torch.equal(upright.taught, mirrored.depth)  # type: ignore[arg-type]
