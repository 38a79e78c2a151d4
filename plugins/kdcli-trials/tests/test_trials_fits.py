"""Networks that were fitted in other ways, and what is done with students that have learned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from kdcli_trials import after, fits
from kdcli_trials.sensor import Sensor
from torch import nn

import kdcli
from kdcli.errors import ConfigError, SpecError
from kdcli.models import load_teacher
from kdcli.testing import check_mixer, toy_batch
from kdcli.training.step.mixing import mix_step
from kdcli.transform import BatchNormProbe, TransformNetwork, save


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm(image)
        return out


def test_groups_of_one_are_channels_and_in_a_group_deviations_cancel() -> None:
    teacher, image = load_teacher("demo").eval(), toy_batch(batch=4).image
    probe, groups = BatchNormProbe(teacher, norm="relative"), fits.GroupedGaps(teacher, group=1)
    with torch.no_grad(), probe, groups:
        teacher(image)
        assert float(groups.loss()) == pytest.approx(float(probe.loss()), rel=1e-5)
    small = Norms().eval()
    shifted = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    variance, mean = torch.var_mean(shifted, (0, 2, 3), correction=0, keepdim=True)
    shifted = (shifted - mean) / variance.sqrt() + torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
    found = []
    for group in (1, 2, 3):
        with torch.no_grad(), fits.GroupedGaps(small, group=group) as one:
            small(shifted)
            found.append(float(one.loss()))
    assert found == pytest.approx([(2 / 3) ** 0.5, 0, 0], abs=1e-4)


def test_a_reward_draws_the_images_its_way() -> None:
    teacher, image = load_teacher("demo").eval(), toy_batch(batch=2, size=(32, 48)).image
    light = []
    for reward in (None, lambda seen, said: seen.mean()):
        torch.manual_seed(0)
        network = TransformNetwork(form="both", width=8)
        probe = BatchNormProbe(teacher, norm="relative")
        before, best = fits.fit(network, teacher, lambda step: image, steps=10, lr=3e-3, probe=probe, reward=reward)
        assert best < before
        with torch.no_grad():
            light.append(float(network(image).mean()))
    assert light[1] > light[0] + 0.01


def test_fitted_effects_are_those_of_every_image(tmp_path: Path) -> None:
    given = ["--data", "sim:blocks,count=96", "--size", "32x48", "--steps", "5", "--out", f"{tmp_path}/s.safetensors"]
    fits.main(["sensor", *given])
    check_mixer(f"sensor,file={tmp_path}/s.safetensors")
    mixer, batch = Sensor(file=f"{tmp_path}/s.safetensors"), toy_batch(batch=2, size=(32, 48))
    assert mixer.fixed is not None and set(mixer.fixed) == {"blur", "exposure", "vignette", "noise"}
    mixer.fixed["noise"] = 0.0
    one, two = (mixer.mix(batch, mix_step(batch, seed=s, stage="t", step=0, total=9)).image for s in (0, 1))
    assert torch.equal(one, two) and not torch.equal(one, batch.image)
    save(TransformNetwork(width=8), tmp_path / "none.safetensors", {})
    with pytest.raises(SpecError, match="no effects of a camera"):
        Sensor(file=f"{tmp_path}/none.safetensors")
    with pytest.raises(ConfigError, match="5 steps need 96"):
        fits.main(["groups", "--data", "sim:blocks,count=80", "--steps", "5", "--out", f"{tmp_path}/g.safetensors"])


def test_statistics_anew_are_those_of_the_images_and_a_soup_is_the_mean() -> None:
    torch.manual_seed(0)
    batches = [torch.randn(4, 3, 8, 8) * 2 + 1 for _ in range(3)]
    found = after.re_estimated(Norms(), batches.__getitem__, 3)
    norm = found.norm
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and not norm.training
    assert torch.allclose(norm.running_mean, torch.stack([b.mean((0, 2, 3)) for b in batches]).mean(0), atol=1e-6)
    one, two = Norms(), Norms()
    with torch.no_grad():
        two.norm.weight.fill_(3.0)
    mean = after.soup([one, two])
    assert torch.equal(mean.norm.weight, torch.full((3,), 2.0)) and torch.equal(one.norm.weight, torch.ones(3))
    told = after.gain([0.1, 0.2, 0.3], [0.2, 0.2, 0.6])
    assert told["mean"] == pytest.approx(0.4 / 3) and told["low"] < 0 < told["high"]
    assert told["high"] - told["mean"] == pytest.approx(4.303 * 0.1527525 / 3**0.5, rel=1e-4)


def test_students_of_a_study_are_measured_as_learned_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        config = kdcli.configure(
            "data-free", size="32x48", student="mobilenet,width=0.35", export="none", eval_data="none", seed=seed,
            twin=False, set=["fit.steps=1", "distill.steps=2", "batch_size=4", "data=sim:blocks,count=64"],
        )
        kdcli.distill(config, out=tmp_path / f"seed{seed}", device="cpu")
    capsys.readouterr()
    given = ["--data", "sim:blocks,count=64", "--size", "32x48", "--batches", "3", "--eval-data", "sim:rooms,count=4"]
    after.main([str(tmp_path), *given])
    told = json.loads(capsys.readouterr().out)
    student, rooms = kdcli.build("teacher", f"run:{tmp_path / 'seed1'}"), kdcli.build("source", "sim:rooms,count=4")
    again = kdcli.evaluate({"s": student}, rooms, "plain", size=(32, 48))
    assert told["as-learned"][1] == pytest.approx(again["s"].metrics["delta1"])
    assert len(told["re-estimated"]) == 2 and 0 <= told["soup"] <= 1
    with pytest.raises(ConfigError, match="0 finished runs"):
        after.main([str(tmp_path / "nothing")])
