from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, PluginError, TrainingError
from kdcli.transform import BatchNormProbe, TransformNetwork, batch_norms, fit
from kdcli.transform.fit import content_gap
from kdcli.types import Batch


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 1, 1),
        ).eval()


def images(seed: int, count: int = 8, size: tuple[int, int] = (16, 20)) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def remember(teacher: nn.Sequential, image: Tensor) -> nn.Sequential:
    """Make the running statistics those of one batch, exactly (biased variance), layer after layer."""
    with torch.no_grad():
        for index, layer in enumerate(teacher):
            if isinstance(layer, nn.BatchNorm2d):
                seen = teacher[:index](image)
                layer.running_mean = seen.mean((0, 2, 3))
                layer.running_var = seen.var((0, 2, 3), correction=0)
    return teacher


def batch_of(image: Tensor) -> Batch:
    return Batch(ids=tuple(map(str, range(len(image)))), image=image)


def dark(seed: int) -> Batch:
    """The teacher's kind of image, darker, flatter and tinted."""
    return batch_of(images(seed) * torch.tensor([0.8, 0.7, 0.75]).view(1, 3, 1, 1) + 0.02)


def test_equal_statistics_give_zero() -> None:
    image = images(0)
    teacher = remember(network(), image)
    for norm in ("l2", "relative"):
        with BatchNormProbe(teacher, norm=norm) as probe:
            teacher(image)
            assert probe.loss().item() == pytest.approx(0, abs=1e-5)
            teacher(images(1) * 0.5)  # a layer that ran twice is averaged
            assert probe.loss().item() > 0.05


@pytest.mark.parametrize("channels", [1, 4, 9])
def test_a_shift_by_one_and_a_gain_of_two(channels: int) -> None:
    layer = nn.BatchNorm2d(channels).eval()
    values = torch.randn(6, channels, 9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = layer.double()
    layer.running_mean, layer.running_var = values.mean((0, 2, 3)), values.var((0, 2, 3), correction=0)
    with BatchNormProbe(layer) as probe:
        layer(values + 1)
        mean, variance = probe.gaps()[""]
        assert mean.item() == pytest.approx(channels**0.5) and variance.item() == pytest.approx(0, abs=1e-9)
        probe.clear()
        # Gain 2 about zero mean: the variance grows from v to 4 v.
        layer(2 * values - layer.running_mean.view(1, -1, 1, 1))
        mean, variance = probe.gaps()[""]
        assert mean.item() == pytest.approx(0, abs=1e-9)
        assert variance.item() == pytest.approx(3 * layer.running_var.norm().item())
    with BatchNormProbe(layer, norm="relative") as probe:
        layer(values + layer.running_var.sqrt().view(1, -1, 1, 1))
        mean, variance = probe.gaps()[""]
        assert mean.item() == pytest.approx(1, rel=1e-4) and variance.item() == pytest.approx(0, abs=1e-9)
        probe.clear()
        layer(2 * values - layer.running_mean.view(1, -1, 1, 1))
        assert probe.gaps()[""][1].item() == pytest.approx(3, rel=1e-4)


def test_agrees_with_deepinversion(shared: Path) -> None:
    path = shared / "golden" / "losses" / "deepinversion_bn.npz"
    if not path.is_file():
        pytest.skip(f"no golden numbers at {path}")
    case = np.load(path)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Conv2d(12, 6, 1), nn.BatchNorm2d(6),
    ).double().eval()
    net.load_state_dict({key[7:]: torch.from_numpy(np.asarray(case[key])) for key in case if key.startswith("in.net.")})
    image = torch.from_numpy(case["in.images"]).requires_grad_()
    for first, name in ((1.0, "sum"), (10.0, "sum_first_bn_x10")):
        with BatchNormProbe(net, first=first) as probe:
            out = net(image)
            loss = probe.loss()
            parts = [float((mean + variance).detach()) for mean, variance in probe.gaps().values()]
        assert loss.item() == pytest.approx(float(case[f"out.{name}"]), rel=1e-9)
        (gradient,) = torch.autograd.grad(loss, image)
        want = torch.from_numpy(case[f"grad.{name}_wrt_images"])
        assert (gradient - want).abs().max() <= 1e-9 * want.abs().max()
    assert parts == pytest.approx(case["out.r_feature"].tolist(), rel=1e-9)
    assert torch.allclose(out, torch.from_numpy(case["out.output"]))


def test_hooks_are_gone_after_the_block_even_after_an_error() -> None:
    teacher = network()
    with pytest.raises(RuntimeError), BatchNormProbe(teacher):
        raise RuntimeError
    assert not any(module._forward_pre_hooks for module in teacher.modules())


def test_statistics_are_taken_in_float32_under_autocast() -> None:
    teacher, image = network(), images(0)
    with BatchNormProbe(teacher) as probe, torch.autocast("cpu", dtype=torch.bfloat16):
        teacher(image)
        assert probe.loss().dtype == torch.float32


def test_weights_and_wrong_options() -> None:
    teacher, image = network(), images(0)
    with BatchNormProbe(teacher) as probe:
        teacher(image)
        layers = {name: (mean + variance).item() for name, (mean, variance) in probe.gaps().items()}
    assert list(layers) == ["1", "4"]
    with BatchNormProbe(teacher, weights={"4": 0.5}, first=3) as probe:
        teacher(image)
        assert probe.loss().item() == pytest.approx(3 * layers["1"] + 0.5 * layers["4"], rel=1e-5)
    with pytest.raises(ConfigError, match="no layer '7'"):
        BatchNormProbe(teacher, weights={"7": 1.0})
    with pytest.raises(ConfigError, match="use l2 or relative"):
        BatchNormProbe(teacher, norm="l1")  # type: ignore[arg-type]
    with BatchNormProbe(teacher) as probe, pytest.raises(ConfigError, match="none of the layers ran"):
        probe.loss()


def test_a_teacher_without_batch_norm_is_refused_in_one_line() -> None:
    for teacher in (nn.Conv2d(3, 1, 1), nn.BatchNorm2d(3, track_running_stats=False)):
        with pytest.raises(ConfigError, match="no batch norm") as caught:
            batch_norms(teacher)
        assert "--transform none" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="no batch norm"):
        fit(TransformNetwork(form="affine"), nn.Conv2d(3, 1, 1), [dark(0)], steps=1)


def test_a_fit_brings_held_out_images_closer_and_leaves_the_teacher_alone() -> None:
    teacher = remember(network(), torch.cat([images(seed) for seed in range(100, 110)]))
    teacher[0].weight.requires_grad_(True)
    teacher[3].weight.requires_grad_(False)
    teacher.train()
    before = copy.deepcopy(teacher.state_dict())
    steps: list[tuple[int, float]] = []
    generator = TransformNetwork(form="affine")
    report = fit(
        generator, teacher, dark, steps=150, lr=0.05, content=0.0, norm="relative",
        on_step=lambda step, loss: steps.append((step, loss)),
    )
    assert report.improved and report.after < 0.2 * report.before
    assert report.steps == 150 and steps[0][0] == 0 and steps[-1][0] == 149
    assert [layer.name for layer in report.layers] == ["1", "4"]
    assert all(layer.after < layer.before for layer in report.layers)
    assert sum(layer.before for layer in report.layers) == pytest.approx(report.before, rel=1e-5)
    assert report.change > 0.05 and not generator.training
    assert report.document()["layers"][0] == {
        "name": "1", "before": report.layers[0].before, "after": report.layers[0].after, "weight": 1.0,
    }
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert teacher[0].weight.requires_grad and not teacher[3].weight.requires_grad and teacher.training
    assert not any(module._forward_pre_hooks for module in teacher.modules())


def test_a_residual_fit_improves_and_the_content_term_holds_edges() -> None:
    teacher = remember(network(), torch.cat([images(seed) for seed in range(100, 104)]))
    gaps = []
    for content in (0.0, 3.0):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            generator = TransformNetwork(form="residual", width=8, depth=1)
        report = fit(generator, teacher, dark, steps=40, lr=1e-2, content=content)
        assert report.improved
        with torch.no_grad():
            gaps.append(content_gap(generator(dark(7).image), dark(7).image).item())
    assert gaps[1] < 0.7 * gaps[0]


def test_a_fit_that_only_makes_it_worse_ends_as_it_began() -> None:
    teacher = remember(network(), images(100, count=64))
    generator = TransformNetwork(form="residual", width=8, depth=1)
    report = fit(generator, teacher, lambda step: batch_of(images(200 + step, count=64)), steps=3, lr=100.0)
    assert report.after <= report.before and report.change == 0


def test_content_gap_ignores_brightness_and_sees_edges() -> None:
    image = images(0)
    assert content_gap(image + 0.3, image).item() == pytest.approx(0, abs=1e-6)
    stripes = torch.zeros_like(image)
    stripes[..., ::2] = 1.0
    assert content_gap(image + stripes, image).item() == pytest.approx(1, rel=1e-4)


def test_batches_may_be_an_iterable_whose_first_two_are_set_aside() -> None:
    taken: list[int] = []

    def stream() -> Iterator[Batch]:
        for seed in range(5):
            taken.append(seed)
            yield dark(seed)

    report = fit(TransformNetwork(form="affine"), network(), stream(), steps=3)
    assert report.steps == 3 and taken == [0, 1, 2, 3, 4]
    with pytest.raises(ConfigError, match="out of images after 3 of 4 steps"):
        fit(TransformNetwork(form="affine"), network(), stream(), steps=4)
    with pytest.raises(ConfigError, match="no batch"):
        fit(TransformNetwork(form="affine"), network(), [], steps=4)
    held = [dark(9)]
    a = fit(TransformNetwork(form="affine"), network(), stream(), steps=5, held_out=held)
    b = fit(TransformNetwork(form="affine"), network(), stream(), steps=5, held_out=held)
    assert a.after == b.after


class Opaque(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, image: Tensor) -> Tensor:
        with torch.no_grad():
            return self.inner(image)


def test_a_fit_that_cannot_work_says_why() -> None:
    with pytest.raises(ConfigError, match="cuts the gradient"):
        fit(TransformNetwork(form="affine"), Opaque(), dark, steps=2)
    with pytest.raises(ConfigError, match="steps=0"):
        fit(TransformNetwork(form="affine"), network(), dark, steps=0)
    broken = network()
    broken[1].running_mean.fill_(float("nan"))
    with pytest.raises(TrainingError, match="nan at step 0"):
        fit(TransformNetwork(form="affine"), broken, dark, steps=2)


def test_a_fit_to_some_layers_reports_all_in_the_order_in_which_they_run() -> None:
    teacher = remember(network(), torch.cat([images(seed) for seed in range(100, 104)]))
    plain = fit(TransformNetwork(form="affine"), teacher, dark, steps=3, content=0.0)
    some = fit(TransformNetwork(form="affine"), teacher, dark, steps=3, content=0.0, layers=["4"], weights={"4": 2.0})
    assert [(layer.name, layer.weight) for layer in some.layers] == [("1", 0.0), ("4", 2.0)]
    assert [layer.before for layer in some.layers] == [layer.before for layer in plain.layers]
    assert some.before == pytest.approx(2 * some.layers[1].before, rel=1e-6)
    first = fit(TransformNetwork(form="affine"), teacher, dark, steps=1, first=5.0)
    assert [layer.weight for layer in first.layers] == [5.0, 1.0]
    assert first.before == pytest.approx(5 * first.layers[0].before + first.layers[1].before, rel=1e-6)
    with pytest.raises(ConfigError, match="no layer '5'"):
        fit(TransformNetwork(form="affine"), teacher, dark, steps=1, layers=["5"])


class Backwards(nn.Module):
    """Lists its layers in another order than it runs them in."""

    def __init__(self) -> None:
        super().__init__()
        self.late, self.early = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        return self.late(self.early(image))


def test_the_first_layer_is_the_one_that_runs_first() -> None:
    model = Backwards()
    with BatchNormProbe(model, first=3.0) as probe:
        model(images(0))
        assert probe.applied() == {"early": 3.0, "late": 1.0} and list(probe.gaps()) == ["early", "late"]


class Counting(nn.Module):
    """A teacher that writes down how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.register_buffer("asked", torch.zeros((), dtype=torch.int64))

    def forward(self, image: Tensor) -> Tensor:
        self.asked += 1
        return self.inner(image)


def test_a_teacher_that_changes_is_refused_after_the_fit() -> None:
    with pytest.raises(PluginError, match="teacher 'Counting' changed while it taught: 'asked' was written to"):
        fit(TransformNetwork(form="affine"), Counting(), dark, steps=2)
