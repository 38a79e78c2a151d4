from __future__ import annotations

import pytest
import torch
from mixer_scenes import HEIGHT, WIDTH, scenes, step

from kdcli.errors import ConfigError
from kdcli.mixers.dfad import Dfad, absolute_difference, adversarial
from kdcli.networks.normalise import IMAGENET_MEAN, IMAGENET_STD
from kdcli.testing import check_mixer, fake_context, toy_batch

SMALL = {"latent": 8, "width": 4}


@pytest.mark.parametrize("options", [{}, {"colours": "normalised"}, {"norm": "running"}])
def test_it_keeps_the_contract(options: dict[str, str]) -> None:
    report = check_mixer(Dfad, options=SMALL | options)
    assert "inner updates" in report.passed


def test_nothing_of_the_source_is_left_but_count_and_size() -> None:
    batch = scenes()
    torch.manual_seed(0)
    mixer = Dfad(**SMALL)
    out = mixer.mix(batch, step(1))
    assert out.ids == ("dfad-0-0", "dfad-0-1", "dfad-0-2", "dfad-0-3")
    assert out.image.shape == batch.image.shape and out.image.std() > 0
    left = [out.depth, out.valid, out.instances, out.intrinsics, out.labelled, out.taught]
    assert all(value is None for value in left)
    other = mixer.mix(batch.map_tensors(torch.zeros_like), step(1))
    assert torch.equal(other.image, out.image), "the source's pixels play no part"
    assert not torch.equal(mixer.mix(batch, step(2)).image, out.image)
    assert not out.image.requires_grad


@pytest.mark.parametrize("colours", ["unit", "normalised"])
def test_how_the_tanh_becomes_an_image(colours: str) -> None:
    torch.manual_seed(0)
    mixer = Dfad(colours=colours, **SMALL)  # type: ignore[arg-type]
    image = mixer.mix(scenes(), step(3)).image
    assert mixer.network is not None
    tanh = mixer.network(torch.randn(4, 8, generator=torch.Generator().manual_seed(3)))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    want = (tanh + 1) / 2 if colours == "unit" else tanh * std + mean
    assert torch.allclose(image, want, atol=1e-6)


def test_running_statistics_are_for_the_students_images_alone() -> None:
    mixer = Dfad(norm="running", **SMALL)
    ctx = fake_context(batch=toy_batch(batch=4))
    mixer.mix(ctx.batch, ctx)
    assert mixer.network is not None and mixer.network.training
    tracked = mixer.network.main[0].num_batches_tracked
    assert int(tracked) == 0
    mixer.inner_loss(ctx)
    assert int(tracked) == 1


def test_an_update_raises_the_disagreement() -> None:
    torch.manual_seed(1)
    mixer, ctx = Dfad(**SMALL), fake_context(batch=toy_batch(batch=8))
    mixer.mix(ctx.batch, ctx)
    optimizer = torch.optim.Adam(mixer.inner_parameters(), lr=mixer.inner_lr)
    values = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = mixer.inner_loss(ctx)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert sum(values[-5:]) / 5 < sum(values[:5]) / 5 - 0.01


def test_several_teachers_count_alike() -> None:
    torch.manual_seed(1)
    mixer = Dfad(**SMALL)
    batch = toy_batch(batch=4)
    both = fake_context(batch=batch, teachers=2)
    mixer.mix(batch, both)
    start = both.generator.get_state()
    together = mixer.inner_loss(both)
    gaps = []
    for view in both.teachers.values():
        both.generator.set_state(start)
        one = fake_context(batch=batch, student=both.student.model, teachers=view.model)
        one.generator.set_state(start)
        gaps.append(torch.exp(-mixer.inner_loss(one)) - 1)
    assert together.item() == pytest.approx(adversarial(torch.stack(gaps).mean()).item(), rel=1e-4)


def test_what_is_not_valid_does_not_count() -> None:
    depth, target = torch.ones(1, 1, 4, 4, requires_grad=True), torch.full((1, 1, 4, 4), 3.0)
    target[..., :2] = float("nan")
    value = absolute_difference(depth, target, torch.isfinite(target))
    assert value.item() == 2.0
    (gradient,) = torch.autograd.grad(value, depth)
    assert torch.isfinite(gradient).all() and not gradient[..., :2].any()


def test_another_size_is_refused() -> None:
    mixer = Dfad(**SMALL)
    mixer.mix(scenes(), step())
    with pytest.raises(ConfigError, match=f"makes images of {HEIGHT}x{WIDTH}, not of 32x48"):
        mixer.mix(toy_batch(), step())


@pytest.mark.parametrize("options", [{"lr": 0.0}, {"every": 0}, {"steps": 0}, {"latent": 0}, {"width": 0}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"dfad: {next(iter(options))}="):
        Dfad(**options)  # type: ignore[arg-type]
