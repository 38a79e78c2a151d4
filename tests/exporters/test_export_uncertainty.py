"""Exports with a second and a third output: how sure the model is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.evals import evaluate
from kdcli.exporters import export, load_exported, writing
from kdcli.exporters.gate.pictures import synthetic
from kdcli.exporters.trace import WithSpread
from kdcli.images import write_image
from kdcli.predict import predict
from kdcli.sources import load_source
from kdcli.types import DepthKind, Prediction
from kdcli.uncertainty import spread_of

OUTPUTS = ["depth", "std", "entropy"]


class _Bins(nn.Module):
    """Forty bins over half a metre to ten, more of them than are worked on at a time."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.5, 10.0)
    taps: ClassVar[dict[str, object]] = {}

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(3, 40, 3, stride=2, padding=1)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.register_buffer("centers", torch.linspace(0.5, 10, 40))

    def forward(self, image: Tensor) -> Prediction:
        probs = torch.softmax(self.conv(image), 1)
        depth = (probs * self.centers.view(1, -1, 1, 1)).sum(1, keepdim=True)
        return Prediction(depth=depth, kind=self.depth_kind, probs=probs, centers=self.centers)


class _Direct(_Bins):
    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=1 + functional.relu(self.conv(image)[:, :1]), kind=self.depth_kind)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return _Bins().eval()


@pytest.fixture(scope="module", params=["onnx", "pt2"])
def file(request: pytest.FixtureRequest, net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sure") / f"net.{request.param}"
    report = export(net, request.param, path, uncertainty=True)
    assert [drift.output for drift in report.drift] == OUTPUTS * 3
    assert all(drift.relative < 1e-4 for drift in report.drift)
    return path


def test_the_file_gives_what_the_distribution_says(net: nn.Module, file: Path) -> None:
    loaded, image = load_exported(file), synthetic(2, (40, 56), seed=4)
    said = loaded(image)
    wanted = net(image)
    spread = spread_of(wanted)
    assert spread is not None and spread.entropy is not None and said.std is not None and said.entropy is not None
    assert said.probs is None
    assert torch.allclose(said.depth, wanted.depth, atol=1e-4)
    assert torch.allclose(said.std, spread.std, atol=1e-4)
    assert torch.allclose(said.entropy, spread.entropy, atol=1e-4)
    assert loaded.card["outputs"] == OUTPUTS


def test_outputs_are_named(net: nn.Module, tmp_path: Path) -> None:
    export(net, "onnx", tmp_path / "a.onnx", uncertainty=True, verify=False)
    export(net, "onnx", tmp_path / "b.onnx", verify=False)
    names = [[o.name for o in onnx.load(tmp_path / name).graph.output] for name in ("a.onnx", "b.onnx")]
    assert names == [OUTPUTS, ["depth"]]
    facts = [{p.key: p.value for p in onnx.load(tmp_path / name).metadata_props} for name in ("a.onnx", "b.onnx")]
    assert json.loads(facts[0]["outputs"]) == OUTPUTS and "outputs" not in facts[1]
    assert facts[0]["sha256"] == facts[1]["sha256"]  # the same network


def test_predict_and_eval_use_the_second_output(net: nn.Module, file: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", synthetic(1, (40, 56))[0])
    (one,), _ = predict(load_exported(file), [tmp_path / "a.png"], tmp_path / "out", uncertainty=True)
    (two,), _ = predict(net, [tmp_path / "a.png"], tmp_path / "out2", uncertainty=True)
    assert one.uncertainty is not None and two.uncertainty is not None and set(one.uncertainty) == {"std", "entropy"}
    for name in one.uncertainty:
        assert one.uncertainty[name].maximum == pytest.approx(two.uncertainty[name].maximum, abs=1e-3)
    source = load_source("sim:rooms,count=2,size=32x48")
    found = evaluate({"net": net, "file": load_exported(file)}, source, uncertainty=True)
    numbers = [found[name].uncertainty for name in ("net", "file")]
    assert numbers[0] is not None and numbers[1] is not None
    assert numbers[1].metrics["mean_std"] == pytest.approx(numbers[0].metrics["mean_std"], rel=1e-4)
    assert numbers[1].document()["metrics"]["coverage_90"] is None


def test_a_model_without_bins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no distribution over depth; models with bins have one: mobilenet,head=bins"):
        export(_Direct().eval(), "onnx", tmp_path / "a.onnx", uncertainty=True)
    assert not list(tmp_path.iterdir())


def test_eight_bits_are_refused(net: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--int8 and --uncertainty"):
        export(net, "onnx", tmp_path / "a.onnx", uncertainty=True, int8=True)


def test_a_wrong_second_output_does_not_pass(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Liar:
        suffix = ".liar"

        def export(self, model: nn.Module, path: Path, *, metadata: Mapping[str, str], **how: object) -> None:
            self.model = model
            path.write_text("")

        def load(self, path: Path) -> object:
            model = self.model

            class Call:
                outputs = WithSpread.outputs

                def __call__(self, image: Tensor) -> Tensor:
                    return model(image).depth

                def all(self, image: Tensor) -> dict[str, Tensor]:
                    said = model(image)
                    return {"depth": said.depth, "std": 1.01 * said.std, "entropy": said.entropy}

            return Call()

    class OldFormat(Liar):
        def load(self, path: Path) -> object:
            return lambda image: self.model(image).depth

    wrong = ((Liar, "drifts from the model.*of std"), (OldFormat, "writes depth alone, not std and entropy"))
    for kind, message in wrong:
        monkeypatch.setattr(writing.registry, "build", lambda *_, kind=kind: kind())
        with torch.no_grad(), pytest.raises(ConfigError, match=message):
            export(net, "liar", tmp_path / "a.liar", uncertainty=True)
        assert not list(tmp_path.iterdir())


def test_training_mode_is_what_it_was(tmp_path: Path) -> None:
    model = _Bins().train()
    export(model, "pt2", tmp_path / "a.pt2", uncertainty=True, verify=False)
    assert model.training
