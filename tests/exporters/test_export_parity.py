from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from export_nets import Net
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError, PluginError, WeightsError
from kdcli.exporters import export, load_exported
from kdcli.exporters.formats.onnx import OnnxExporter
from kdcli.exporters.gate.pictures import synthetic
from kdcli.plugins import registry
from kdcli.types import DepthKind, MadeFor, Prediction


class _Net(Net):
    """The same with other numbers: disparity, brought to the image's own size."""

    depth_kind = DepthKind.AFFINE_DISPARITY
    depth_range = (0.0, 5.0)

    def forward(self, image: Tensor) -> Prediction:
        feature = functional.relu(self.norm(self.down((image - 0.45) / 0.225)))
        feature = functional.interpolate(feature, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return Prediction(depth=functional.softplus(self.out(feature)), kind=self.depth_kind)


class _Stubborn(_Net):
    """Its batch may be anything, its size may not."""

    def forward(self, image: Tensor) -> Prediction:
        if image.shape[-1] != 256 or image.shape[-2] != 192:
            raise ValueError("only 192x256")
        return super().forward(image)


@pytest.fixture(scope="module")
def net() -> _Net:
    return _Net().eval()


@pytest.fixture(scope="module", params=["onnx", "pt2"])
def written(request: pytest.FixtureRequest, net: _Net, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("written") / f"net.{request.param}"
    before = copy.deepcopy(net.state_dict())
    report = export(net, request.param, path, card={"student": "toy", "size": [9, 9]})
    assert report.size is None and report.notes == () and not report.int8
    assert [drift.shape[0] for drift in report.drift] == [1, 2, 1]
    assert len({drift.shape[-2:] for drift in report.drift}) == 2
    assert report.worst is not None and report.worst.relative < 1e-5
    assert all(torch.equal(net.state_dict()[key], before[key]) for key in before)
    yield path


def test_the_file_gives_the_models_numbers_at_any_size(written: Path, net: _Net) -> None:
    loaded = load_exported(written)
    for shape in ((1, 3, 40, 56), (3, 3, 65, 33)):
        image = torch.rand(shape)
        prediction = loaded(image)
        assert prediction.kind is DepthKind.AFFINE_DISPARITY
        assert torch.allclose(prediction.depth, net(image).depth, atol=1e-5)


def test_the_file_says_what_it_is(written: Path) -> None:
    loaded = load_exported(written)
    assert loaded.depth_range == (0.0, 5.0)
    assert loaded.provenance.licence == "MIT" and loaded.provenance.training_data == "noise"
    said = {key: loaded.card[key] for key in ("student", "trained_size", "size")}
    assert said == {"student": "toy", "trained_size": [9, 9], "size": "dynamic"}
    # Of the card of an older student; the file itself takes any size.
    assert loaded.made_for == MadeFor(train_size=(9, 9), eval_size=(9, 9)) and loaded.input_size is None
    assert len(str(loaded.provenance.sha256)) == 64
    assert [p.name for p in written.parent.iterdir()] == [written.name]


@pytest.mark.parametrize(("size", "taken"), [(None, (64, 96)), ((32, 48), (32, 48))])
def test_what_cannot_be_left_open_is_fixed_to_the_size_of_training(
    tmp_path: Path, size: tuple[int, int] | None, taken: tuple[int, int]
) -> None:
    class Fixed(_Net):
        def forward(self, image: Tensor) -> Prediction:
            if isinstance(image.shape[-1], torch.SymInt):
                raise ValueError("sizes must be known")
            return super().forward(image)

    model = Fixed().eval()
    model.made_for = MadeFor(train_size=(40, 56), eval_size=(64, 96), domain="indoor", far=5.0)
    report = export(model, "onnx", tmp_path / "net.onnx", size=size)
    loaded = load_exported(tmp_path / "net.onnx")
    assert report.size == loaded.input_size == taken
    assert loaded.made_for == replace(model.made_for, eval_size=taken)
    assert any("was trained at 64x96" in note for note in report.notes) == (size == (32, 48))


def test_a_file_of_any_size_says_what_it_was_made_for(tmp_path: Path) -> None:
    model = _Net().eval()
    model.made_for = MadeFor(train_size=(32, 48), eval_size=(32, 48))
    report = export(model, "pt2", tmp_path / "net.pt2")
    assert report.size is None and report.notes == ("it takes images of any size, and was made for 32x48",)
    assert report.drift[0].shape[-2:] == (32, 48)
    assert load_exported(tmp_path / "net.pt2").made_for == model.made_for


def test_an_onnx_file_is_one_file_with_names_and_no_traces(written: Path) -> None:
    if written.suffix != ".onnx":
        pytest.skip("about ONNX")
    proto = onnx.load(written)
    onnx.checker.check_model(proto)
    dims = [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", 3, "height", "width"]
    assert "site-packages" not in str(proto) and str(Path.home()) not in str(proto)
    facts = {prop.key: prop.value for prop in proto.metadata_props}
    assert facts["depth_kind"] == "affine_disparity" and json.loads(facts["depth_range"]) == [0.0, 5.0]
    assert facts["unit"] == "" and facts["kdcli"]


def test_a_network_of_one_size_is_fixed_with_a_note(tmp_path: Path) -> None:
    net = _Stubborn().eval()
    report = export(net, "pt2", tmp_path / "n.pt2")
    assert report.size == (192, 256) and len(report.drift) == 2
    assert len(report.notes) == 1 and "fixed to 192x256" in report.notes[0]
    loaded = load_exported(tmp_path / "n.pt2")
    assert loaded(torch.rand(1, 3, 70, 90)).depth.shape == (1, 1, 192, 256)  # resized inside
    with pytest.raises(ConfigError, match="dynamic height and width; give --size"):
        export(net, "pt2", tmp_path / "d.pt2", size="dynamic")
    with pytest.raises(ConfigError, match="only 192x256"):
        export(net, "pt2", tmp_path / "d.pt2", size=(32, 48))
    assert not (tmp_path / "d.pt2").exists()


class _Drifting(OnnxExporter):
    """Writes another network than it was given."""

    def export(self, model: nn.Module, path: Path, **options: object) -> None:
        wrong = copy.deepcopy(model)
        with torch.no_grad():
            wrong.out.bias += 0.1  # type: ignore[union-attr]
        super().export(wrong, path, **options)  # type: ignore[arg-type]


@pytest.fixture
def drifting(monkeypatch: pytest.MonkeyPatch) -> None:
    build: Callable[..., object] = registry.build
    monkeypatch.setattr(registry, "build", lambda kind, spec: _Drifting() if spec == "drifting" else build(kind, spec))


def test_a_file_that_drifts_is_removed(drifting: None, net: _Net, tmp_path: Path) -> None:
    target = tmp_path / "out" / "n.onnx"
    with pytest.raises(ConfigError, match=r"drifts from the model: 1 x 32x48: 0\.\d+.*0\.001 is allowed"):
        export(net, "drifting", target, size=(32, 48))
    assert not list(target.parent.iterdir())
    report = export(net, "drifting", target, size=(32, 48), verify=False)
    assert report.drift == () and target.exists()


def test_unknown_format_and_folder_as_target(net: _Net, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="onyx"):
        export(net, "onyx", tmp_path / "x")
    with pytest.raises(ConfigError, match="folder"):
        export(net, "onnx", tmp_path)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2", ".zip"])
def test_files_that_cannot_be_opened(tmp_path: Path, suffix: str) -> None:
    for content in (None, b"\xff" * 300, b"version https://git-lfs.github.com/spec/v1\n"):
        path = tmp_path / f"x{suffix}"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            load_exported(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_foreign_onnx_file_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 4, 4]) for n in ("image", "depth")]
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["depth"])], "g", value[:1], value[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, tmp_path / "f.onnx")
    with pytest.raises(WeightsError, match="depth_kind"):
        load_exported(tmp_path / "f.onnx")


def test_synthetic_images_are_images() -> None:
    images = synthetic(2, (48, 64))
    assert images.shape == (2, 3, 48, 64) and images.min() >= 0 and images.max() <= 1
    assert torch.equal(images, synthetic(2, (48, 64))) and not torch.equal(images[0], images[1])
    assert np.std(images.numpy()) > 0.05
