"""What the parts compute, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from kdcli_trials import choose
from kdcli_trials.agreed import Agreed
from kdcli_trials.carried import Carried
from kdcli_trials.choose import main, picked, weights
from kdcli_trials.composed import Composed
from kdcli_trials.pasted import Pasted
from kdcli_trials.sensor import Sensor

import kdcli
from kdcli.errors import ConfigError, DataError, SpecError
from kdcli.models import load_teacher
from kdcli.testing import fake_context, toy_batch
from kdcli.training.step.mixing import mix_step
from kdcli.transform import TransformNetwork, save
from kdcli.types import Batch


def mixed(mixer: object, batch: Batch, step: int = 0) -> Batch:
    found: Batch = mixer.mix(batch, mix_step(batch, seed=0, stage="test", step=step, total=9))  # type: ignore[attr-defined]
    return found


def test_half_of_the_way_is_half_of_the_change(tmp_path: Path) -> None:
    network = TransformNetwork(form="affine")
    assert network.curve is not None
    with torch.no_grad():
        network.curve.gain.fill_(-0.2)
    save(network, tmp_path / "one.safetensors", {})
    batch, file = toy_batch(), str(tmp_path / "one.safetensors")
    whole, half = (mixed(Carried(files=file, low=s, high=s), batch).image for s in (1.0, 0.5))
    with torch.no_grad():
        assert torch.equal(whole, network(batch.image).clamp(0, 1))
    assert torch.allclose(half, (batch.image + whole) / 2)
    with pytest.raises(SpecError, match="low=1 and high=0"):
        Carried(files=file, low=1, high=0)


def test_composed_depth_is_the_teachers_of_the_image_that_a_pixel_came_from() -> None:
    teacher = load_teacher("demo").eval()
    source = kdcli.build("source", "sim:blocks,count=4")
    batch = source.batch([0, 1, 2, 3], (64, 96), "cpu")
    out = mixed(Composed(), batch)
    with torch.no_grad():
        said = torch.nn.functional.interpolate(
            teacher(batch.image).depth, (64, 96), mode="bilinear", align_corners=False, antialias=True
        )
    pasted = (out.image != batch.image).any(1, keepdim=True)
    assert out.depth is not None and 0.01 < float(pasted.float().mean()) < 0.9
    assert torch.equal(out.depth[~pasted], said[~pasted])
    others = torch.stack([said.roll(k, 0) for k in range(4)])
    assert bool((others == out.depth).any(0).all())  # every pixel is somebody's answer
    assert bool((out.depth != said)[pasted].float().mean() > 0.9)


def test_pasted_objects_are_of_the_other_source_and_ids_stay_apart() -> None:
    blocks, interiors = (kdcli.build("source", f"sim:{world},count=4") for world in ("blocks", "interiors"))
    batch = blocks.batch([0, 1, 2, 3], (48, 64), "cpu")
    out = mixed(Pasted(source="[sim:interiors,count=4]", probability=1.0), batch)
    changed = (out.image != batch.image).any(1)
    assert batch.instances is not None and out.instances is not None and out.depth is None
    assert 0 < float(changed.float().mean()) < 0.9
    top = batch.instances.flatten(1).amax(1).view(-1, 1, 1)
    assert bool((out.instances > top)[changed].all())
    assert torch.equal(out.instances[~changed], batch.instances[~changed])
    theirs = interiors.batch([0, 1, 2, 3], (48, 64), "cpu").image
    here = out.image.permute(0, 2, 3, 1)[changed]
    known = theirs.permute(0, 2, 3, 1).reshape(-1, 3)
    assert float((torch.cdist(here[:200], known).amin(1) < 1e-3).float().mean()) == 1
    with pytest.raises(SpecError, match="must be simulated"):
        Pasted(source="sim:blocks")
    with pytest.raises(ConfigError, match="needs instance maps"):
        mixed(Pasted(source="[sim:blocks,count=4]"), replace(batch, instances=None))


def test_sensor_effects_one_by_one() -> None:
    batch = replace(toy_batch(batch=2, size=(33, 33)), image=torch.full((2, 3, 33, 33), 0.5))
    off = {"blur": 0.0, "exposure": 0.0, "vignette": 0.0, "noise": 0.0}
    assert torch.equal(mixed(Sensor(**off), batch).image, batch.image)
    assert torch.allclose(mixed(Sensor(**off | {"blur": 0.6}), batch).image, batch.image)  # nothing to blur
    bright = mixed(Sensor(**off | {"exposure": 0.3}), batch).image
    assert bool((bright == bright[:, :1, :1, :1]).all())
    assert 0.5 / 1.3 <= float(bright.min()) <= float(bright.max()) <= 0.65
    dark = mixed(Sensor(**off | {"vignette": 0.3}), batch).image
    assert torch.equal(dark[:, :, 16, 16], batch.image[:, :, 16, 16]) and bool((dark[:, :, 0, 0] < 0.5).all())
    noisy = mixed(Sensor(**off | {"noise": 0.02}), batch).image
    assert 0 < float((noisy - batch.image).std()) < 0.02
    with pytest.raises(SpecError, match="noise=-1"):
        Sensor(noise=-1)


def test_where_the_teacher_disagrees_with_itself_it_counts_for_less() -> None:
    context = fake_context(batch=toy_batch())
    target, _ = context.target()
    with torch.no_grad():
        other = context.teacher.call(context.batch.image.flip(-1)).depth.flip(-1)
        said = context.student.out.depth
        error, gap = (said.log() - target.log()).abs(), (target.log() - other.log()).abs()
        weight = torch.exp(-gap / 0.1)
        valid = context.target()[1]
        wanted = (weight * error)[valid].sum() / weight[valid].sum()
    assert Agreed().terms(context)["agreed"].item() == pytest.approx(float(wanted), rel=1e-5)


def test_weights_bring_the_mean_to_what_is_remembered() -> None:
    generator = torch.Generator().manual_seed(0)
    moments = torch.randn(4000, 6, generator=generator) + 0.3
    found = weights(moments, directions=6, ridge=0.0)
    assert float(found.sum()) == pytest.approx(1)
    assert torch.allclose(found @ moments.double(), torch.zeros(6, dtype=torch.double), atol=1e-4)
    assert float((moments.double().mean(0)).abs().min()) > 0.2
    picks, again = (picked(torch.tensor([0.0, 1.0, 3.0]), 400, 0) for _ in range(2))
    assert [picks.count(i) for i in range(3)] == [0, 100, 300] and picks == again


def test_a_choice_goes_on_where_it_was_stopped_and_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ["sim:blocks,count=230", "--size", "32x48", "--count", "50", "--out", str(tmp_path / "new" / "whole.json")]
    main(whole)
    saved, calls = choose.save, []

    def stopped(found: dict[str, torch.Tensor], path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        saved(found, path)

    cut = [*whole[:-1], str(tmp_path / "cut.json")]
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(choose, "save", stopped)
        main(cut)
    assert len(torch.load(tmp_path / "cut.scores.pt", weights_only=True)["moments"]) == 100
    main(cut)
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("new/whole", "cut"))
    assert one == other and len(one["picks"]) == 50
    source = kdcli.build("source", f"chosen:{tmp_path / 'cut.json'}")
    inner = kdcli.build("source", "sim:blocks,count=230")
    assert len(source) == 50
    assert torch.equal(source.batch([3], (32, 48)).image, inner.batch([one["picks"][3]], (32, 48)).image)
    (tmp_path / "no.json").write_text("[]")
    with pytest.raises(DataError, match="no list of chosen images"):
        kdcli.build("source", f"chosen:{tmp_path / 'no.json'}")
