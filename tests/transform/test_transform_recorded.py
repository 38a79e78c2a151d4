from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.errors import ConfigError, WeightsError
from kdcli.transform import (
    BatchNormProbe,
    RecordedProbe,
    Statistics,
    TransformNetwork,
    fit,
    probe_for,
    read,
    record,
    write,
)
from kdcli.types import Batch, DepthKind, Prediction, Provenance, Tap


class Net(nn.Module):
    """Two convolutions and no batch norm, like a transformer as far as statistics go."""

    depth_kind, depth_range = DepthKind.METRIC, (0.0, 10.0)

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.last = nn.Conv2d(6, 1, 3, padding=1)
        self.taps = {
            "enc1": Tap(module="first", stride=1, channels=6), "pre_head": Tap(module="norm", stride=1, channels=6),
        }
        self.provenance = Provenance(name="net", sha256="a" * 64)
        self.eval()

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.last(torch.relu(self.norm(self.first(image)))).abs(), kind=self.depth_kind)


def batches(count: int = 3, shift: float = 0.0) -> list[Batch]:
    made = torch.Generator().manual_seed(1)
    images = [torch.rand(4 + i, 3, 16, 20, generator=made) * 0.5 + shift for i in range(count)]
    return [Batch(ids=tuple(map(str, range(len(image)))), image=image) for image in images]


def test_batches_of_any_size_count_as_one() -> None:
    net, parts = Net(), batches()
    found = record(net, parts)
    with torch.no_grad():
        feature = net.first(torch.cat([part.image for part in parts])).double()
    assert torch.allclose(found.mean["enc1"].double(), feature.mean(dim=(0, 2, 3)), atol=1e-6)
    assert torch.allclose(found.variance["enc1"].double(), feature.var(dim=(0, 2, 3), correction=0), atol=1e-6)
    assert found.provenance["images"] == 15


def test_the_probe_measures_the_distance_to_what_was_recorded() -> None:
    net, (part,) = Net(), batches(1)
    found = record(net, [part])
    with torch.no_grad(), RecordedProbe(net, found) as probe:
        net(part.image)
        assert float(probe.loss()) < 1e-5, "the same images are where they were"
    moved = Statistics(
        mean={"enc1": found.mean["enc1"] - 1}, variance={"enc1": found.variance["enc1"]}, provenance={}
    )
    with torch.no_grad(), RecordedProbe(net, moved) as probe:
        net(part.image)
        mean, variance = probe.gaps()["enc1"]
    assert float(mean) == pytest.approx(6**0.5, rel=1e-5) and float(variance) < 1e-5


def test_recorded_statistics_of_a_batch_norms_input_are_those_of_the_batch_norm() -> None:
    net, parts = Net(norm=True), batches()
    found = record(net, parts, ["enc1"])
    norm = net.norm
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(found.mean["enc1"])
    norm.running_var.copy_(found.variance["enc1"])
    other = batches(1, shift=0.3)[0]
    for how in ("l2", "relative"):
        with torch.no_grad(), RecordedProbe(net, found, norm=how) as one, BatchNormProbe(net, norm=how) as two:  # type: ignore[arg-type]
            net(other.image)
            assert float(one.loss()) == pytest.approx(float(two.loss()), rel=1e-5)


def test_what_enters_the_batch_norms_can_be_recorded_by_one_word(tmp_path: Path) -> None:
    net, parts = Net(norm=True), batches()
    found = record(net, parts, ["batch-norms", "enc1"])
    assert list(found.mean) == ["input:norm", "enc1"]
    assert torch.equal(found.mean["input:norm"], found.mean["enc1"]), "the norm follows the first convolution"
    norm = net.norm
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(found.mean["enc1"])
    norm.running_var.copy_(found.variance["enc1"])
    other = batches(1, shift=0.3)[0]
    with torch.no_grad(), probe_for(net, found, layers=["input:*"]) as one, probe_for(net, None) as two:
        net(other.image)
        assert float(one.loss()) == pytest.approx(float(two.loss()), rel=1e-5)
    with pytest.raises(ConfigError, match="no module 'nrm'"):
        record(net, parts, ["input:nrm"])


def test_recorded_layers_are_in_the_networks_order(tmp_path: Path) -> None:
    net = Net()
    write(record(net, batches(), ["module:last", "enc1"]), tmp_path / "s.safetensors")
    probe = probe_for(net, read(tmp_path / "s.safetensors"), layers=["first:1"])
    assert list(probe.targets) == ["enc1"]


def test_a_network_without_batch_norm_is_fitted_to_them() -> None:
    net = Net()
    found = record(net, batches(shift=0.3))
    network = TransformNetwork(form="affine")
    how = {"steps": 60, "lr": 2e-2, "norm": "relative", "content": 0.1, "statistics": found}
    report = fit(network, net, lambda step: batches(1)[0], **how)  # type: ignore[arg-type]
    assert report.after < 0.5 * report.before
    assert {layer.name for layer in report.layers} == {"input:", "enc1", "pre_head"}
    with pytest.raises(ConfigError, match="--record"):
        fit(network, net, lambda step: batches(1)[0], steps=1)


def test_files(tmp_path: Path) -> None:
    net, path = Net(), tmp_path / "s.safetensors"
    found = record(net, batches())
    write(Statistics(mean=found.mean, variance=found.variance, provenance={"teacher": {"sha256": "b" * 64}}), path)
    again = read(path)
    assert all(torch.equal(again.mean[name], found.mean[name]) for name in found.mean)
    with pytest.raises(ConfigError, match="of other weights"):
        RecordedProbe(net, again)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="holds no recorded statistics"):
        read(tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="no tap 'enc9'"):
        record(net, batches(), ["enc9"])
    net.taps = {}
    with pytest.raises(ConfigError, match="names no inner features"):
        record(net, batches())


def run(*words: object) -> Any:
    """Run the command line in this process; the JSON document, or the error that it ended with."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return json.loads(result.stdout) if result.exception is None else result.exception


def test_from_the_command_line(tmp_path: Path) -> None:
    statistics, out = tmp_path / "s.safetensors", tmp_path / "t.safetensors"
    common = ("--teacher", "demo", "--size", "64x96", "--batch-size", 4, "--json")
    told = run("fit-transform", "--record", statistics, "--data", "sim:rooms,count=8", *common)
    assert told["images"] == 8 and told["teacher"]["sha256"] and "pre_head" in told["taps"]
    fitted = ("fit-transform", "--out", out, "--statistics", statistics, "--data", "sim:blocks,count=8")
    told = run(*fitted, "--steps", 4, *common)
    assert told["statistics"] == str(statistics) and {layer["name"] for layer in told["layers"]} >= {"pre_head"}
    assert "either --out FILE" in str(run("fit-transform", "--data", "sim:blocks", *common))
    drawn = [Path(told[key]) for key in ("plot", "picture")]
    assert [path.name for path in drawn] == ["t-layers.png", "t-images.png"] and all(path.is_file() for path in drawn)
    words = ("fit-transform", "--record", statistics, "--data", "sim:blocks", "--plot", "p.png")
    assert "--plot p.png is for fitting" in str(run(*words, *common))
    assert "is for --record" in str(run(*fitted, "--tap", "enc1", *common))
