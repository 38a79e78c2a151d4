from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kdcli.errors import ConfigError, WeightsError
from kdcli.transform import TransformMixer, TransformNetwork, load, load_mixer, save
from kdcli.transform.network import MARGIN, Form, soft_clamp
from kdcli.types import Batch

FORMS: tuple[Form, ...] = ("residual", "affine", "both")


class Step:
    step, epoch, stage, progress = 0, 0, "test", 0.0

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)


def images(count: int = 2) -> torch.Tensor:
    image = torch.rand(count, 3, 17, 23, generator=torch.Generator().manual_seed(0))
    image[0, :, 0, 0], image[0, :, 0, 1] = 0.0, 1.0
    return image


def stirred(form: Form, seed: int = 0) -> TransformNetwork:
    network = TransformNetwork(form=form)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


@pytest.mark.parametrize("form", FORMS)
def test_it_starts_as_the_identity_to_the_bit(form: Form) -> None:
    image = images()
    assert torch.equal(TransformNetwork(form=form)(image), image)
    assert not torch.equal(stirred(form)(image), image)


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_can_learn(form: Form) -> None:
    # From the identity on, the last layer has a gradient; the layers before it once that has moved.
    network = stirred(form)
    network(images()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    fresh = TransformNetwork(form=form)
    fresh(images()).sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in fresh.parameters())


def test_soft_clamp_is_smooth_bounded_and_never_flat() -> None:
    x = torch.linspace(-1, 2, 3001, dtype=torch.float64, requires_grad=True)
    y = soft_clamp(x)
    assert torch.equal(y[(x >= 0) & (x <= 1)], x[(x >= 0) & (x <= 1)])
    assert y.min() >= -MARGIN and y.max() <= 1 + MARGIN
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert (slope[(x > -0.5) & (x < 1.5)] > 0).all()
    places = torch.tensor([-0.2, -0.01, 0.5, 1.01, 1.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(soft_clamp, (places,))


def test_no_tensor_of_another_device_slips_in() -> None:
    for form in FORMS:
        network = TransformNetwork(form=form).to("meta")
        batch = Batch(ids=("a", "b"), image=images().to("meta"))
        step = Step()
        step.generator = None  # type: ignore[assignment]
        assert TransformMixer(network, probability=0.5).mix(batch, step).image.is_meta


@pytest.mark.parametrize("form", FORMS)
def test_no_value_moves_further_than_the_strength(form: Form) -> None:
    network = TransformNetwork(form=form, strength=0.2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 3.0
    moved = (network(images()) - images()).abs()
    assert 0.1 < moved.max() <= 0.2 + 1e-6


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="residual, affine or both"):
        TransformNetwork(form="conv")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="width=0"):
        TransformNetwork(width=0)
    with pytest.raises(ConfigError, match="strength=0"):
        TransformNetwork(strength=0)


def test_the_mixer_changes_images_only_and_never_trains() -> None:
    network = stirred("both").train().requires_grad_(True)
    mixer = TransformMixer(network)
    depth = torch.ones(2, 1, 17, 23)
    batch = Batch(ids=("a", "b"), image=images().requires_grad_(), depth=depth)
    mixer.train()
    out = mixer.mix(batch, Step())
    assert not mixer.training and not network.training and not out.image.requires_grad
    assert not any(p.requires_grad for p in mixer.parameters())
    assert torch.equal(out.image, network(batch.image)) and out.depth is depth


def test_the_mixer_transforms_a_share_of_the_images() -> None:
    image = torch.rand(400, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    batch = Batch(ids=tuple(map(str, range(400))), image=image)
    moved = (TransformMixer(stirred("affine"), probability=0.3).mix(batch, Step()).image != image).flatten(1).any(1)
    assert 0.22 < moved.float().mean() < 0.38
    with pytest.raises(ConfigError, match=r"within 0\.\.1"):
        TransformMixer(stirred("affine"), probability=2)


@pytest.mark.parametrize("form", FORMS)
def test_it_survives_the_disk_with_its_provenance(form: Form, tmp_path: Path) -> None:
    network, path = stirred(form), tmp_path / "deep" / "g.safetensors"
    save(network, path, {"teacher": {"name": "t", "sha256": "00"}, "before": 2.5, "after": 1.0, "seed": 3})
    again, provenance = load(path)
    assert torch.equal(again(images()), network(images())) and not again.training
    assert provenance == {"teacher": {"name": "t", "sha256": "00"}, "before": 2.5, "after": 1.0, "seed": 3}
    mixer = load_mixer(path, probability=0.5)
    assert mixer.probability == 0.5 and torch.equal(mixer.network(images()), network(images()))


def test_files_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    good = tmp_path / "g.safetensors"
    save(TransformNetwork(form="affine"), good, {})
    with pytest.raises(ConfigError, match=r"does not end in .safetensors; write 'g.safetensors'"):
        save(TransformNetwork(), tmp_path / "g.pt", {})
    broken = {"missing": None, "text": b"hello", "cut": good.read_bytes()[:-8]}
    for name, content in broken.items():
        path = tmp_path / f"{name}.safetensors"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            load(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    other = tmp_path / "student.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    with pytest.raises(WeightsError, match="is not a transformation network"):
        load(other)
    lying = tmp_path / "lying.safetensors"
    header = {"format": "kdcli.transform/1", "architecture": '{"form": "residual"}', "provenance": "{}"}
    save_file({"curve.gain": torch.zeros(1, 3, 1, 1)}, lying, metadata=header)
    with pytest.raises(WeightsError, match="does not hold the network of its header"):
        load(lying)
    save_file({"x": torch.zeros(1)}, lying, metadata={**header, "architecture": '{"layers": 3}'})
    with pytest.raises(WeightsError, match="does not hold the network of its header"):
        load(lying)
