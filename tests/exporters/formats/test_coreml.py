"""Core ML packages: what they declare, that their arithmetic is followed, and that wrong ones do not pass."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError, WeightsError
from kdcli.exporters import export, load_exported, writing
from kdcli.exporters.formats import coreml_file
from kdcli.exporters.formats.coreml import CoremlExporter
from kdcli.exporters.formats.coreml_file import CoremlFile
from kdcli.exporters.formats.native import quiet
from kdcli.plugins import registry
from kdcli.testing import ToyDepth
from kdcli.types import DepthKind, Prediction

SIZE = (32, 48)


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    with quiet():
        pytest.importorskip("coremltools", reason="coremltools is not installed: pip install 'kdcli[coreml]'")


class Net(nn.Module):
    """A small network whose colours are not alike; ``gain`` is multiplied in and divided out again."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.0, 20.0)
    taps: ClassVar[dict[str, object]] = {}

    def __init__(self, gain: float = 1.0, bend: Callable[[Tensor], Tensor] = functional.softplus) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.out, self.gain, self.bend = nn.Conv2d(8, 1, 3, padding=1), gain, bend

    def forward(self, image: Tensor) -> Prediction:
        feature = torch.relu(self.norm(self.down((image - 0.45) / 0.225)) * self.gain)
        feature = functional.interpolate(feature, scale_factor=2, mode="bilinear", align_corners=False)
        return Prediction(depth=self.bend(self.out(feature / self.gain)) + 0.5, kind=self.depth_kind)


@pytest.fixture(scope="module")
def net() -> Net:
    return Net().eval()


@pytest.fixture(scope="module")
def written(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "net.mlpackage"
    report = export(net, None, path, size=SIZE, card={"student": "toy", "licence": "MIT"})
    assert report.format == "coreml" and report.files == ("net.mlpackage",) and report.size == SIZE
    assert report.worst is not None and report.worst.relative < 1e-5
    assert report.notes[0] == "the batch is fixed to 1" and len(report.notes) == 2
    assert "followed operator by operator" in report.notes[1] and "unproven on Apple's runtime" in report.notes[1]
    return path


def spec_of(path: Path) -> Any:
    import coremltools

    return coremltools.models.utils.load_spec(str(path))


def test_a_package_gives_the_networks_numbers_and_says_what_it_is(written: Path, net: Net) -> None:
    loaded = load_exported(written)
    image = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        assert torch.allclose(loaded(image).depth, net(image).depth, atol=1e-4)
    assert (loaded.depth_kind, loaded.depth_range, loaded.input_size) == (net.depth_kind, net.depth_range, SIZE)
    assert loaded.card["student"] == "toy" and loaded.provenance.licence == "MIT"
    with pytest.raises(ConfigError, match=r"does not take 1 image of 64x64 \(it takes one image of 32x48\)"):
        loaded._call(torch.rand(1, 3, 64, 64))


def test_what_a_package_declares(written: Path) -> None:
    form = spec_of(written)
    (taken,), (given,) = form.description.input, form.description.output
    assert (taken.name, list(taken.type.multiArrayType.shape)) == ("image", [1, 3, *SIZE])
    assert (given.name, list(given.type.multiArrayType.shape)) == ("depth", [1, 1, *SIZE])
    assert form.description.metadata.license == "MIT"
    assert "in m" in given.shortDescription
    assert sorted(one.name for one in written.iterdir()) == ["Data", "Manifest.json"]


def test_one_size_is_fixed_where_none_is_given(net: Net, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Core ML files take one size"):
        export(net, "coreml", tmp_path / "n.mlpackage", size="dynamic")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_images_of_cameras(precision: Any, net: Net, tmp_path: Path) -> None:
    path = tmp_path / "n.mlpackage"
    report = export(net, None, path, size=SIZE, input="uint8", precision=precision)
    assert report.worst is not None and report.worst.relative < (1e-5 if precision == "fp32" else 5e-3)
    kind = spec_of(path).description.input[0].type.imageType
    assert (kind.height, kind.width, kind.colorSpace) == (*SIZE, kind.ColorSpace.Value("RGB"))
    image = torch.randint(0, 256, (1, 3, *SIZE)) / 255
    with torch.no_grad():
        assert torch.allclose(load_exported(path)(image).depth, net(image).depth, atol=0.02)


def test_uncertainty_has_names_of_its_own(tmp_path: Path) -> None:
    report = export(ToyDepth().eval(), None, tmp_path / "n.mlpackage", size=SIZE, uncertainty=True)
    assert [drift.output for drift in report.drift] == ["depth", "std", "entropy"]
    assert [one.name for one in spec_of(report.path).description.output] == ["depth", "std", "entropy"]


def test_half_precision_is_smaller_and_rounded(net: Net, written: Path, tmp_path: Path) -> None:
    report = export(net, None, tmp_path / "n.mlpackage", size=SIZE, precision="fp16")
    assert report.worst is not None and 1e-5 < report.worst.abs_rel < 2e-3
    (given,) = spec_of(report.path).description.output
    assert given.type.multiArrayType.dataType == given.type.multiArrayType.ArrayDataType.Value("FLOAT32")


@pytest.mark.parametrize("gain", [1e6, 6e4])
def test_overflow_in_half_precision_does_not_pass(gain: float, tmp_path: Path) -> None:
    model = Net(gain).eval()
    with pytest.raises(ConfigError, match="export it with --precision fp32"):
        export(model, None, tmp_path / "n.mlpackage", size=SIZE, precision="fp16")
    assert not list(tmp_path.iterdir())


def swapped_colours(path: Path) -> None:
    """Exchange the first and the last colour in the weights of the first convolution."""
    steps = spec_of(path).mlProgram.functions["main"].block_specializations["CoreML6"].operations
    (held,) = [one.attributes["val"].blobFileValue for one in steps if one.type == "const"
               and [side.constant.size for side in one.outputs[0].type.tensorType.dimensions] == [8, 3, 3, 3]]

    def swap(stored: bytearray) -> None:
        size, begin = struct.unpack("<QQ", stored[held.offset + 8 : held.offset + 24])
        weight = np.frombuffer(bytes(stored[begin : begin + size]), np.float32).reshape(8, 3, 9)
        stored[begin : begin + size] = weight[:, ::-1].tobytes()

    _weights(path, swap)


def not_a_number(path: Path) -> None:
    def spoil(stored: bytearray) -> None:
        stored[-4:] = np.array([np.nan], np.float32).tobytes()

    _weights(path, spoil)


def another_resize(path: Path) -> None:
    form = spec_of(path)
    steps = form.mlProgram.functions["main"].block_specializations["CoreML6"].operations
    (resize,) = [one for one in steps if one.type == "upsample_bilinear"]
    name = resize.inputs["align_corners"].arguments[0].name
    (told,) = [one for one in steps if one.type == "const" and one.outputs[0].name == name]
    told.attributes["val"].immediateValue.tensor.bools.values[0] = True
    _write(path, form)


def lost_size(path: Path) -> None:
    form = spec_of(path)
    form.description.input[0].type.multiArrayType.shape[3] = 64
    _write(path, form)


def another_name(path: Path) -> None:
    form = spec_of(path)
    form.description.input[0].name = "picture"
    _write(path, form)


def _write(path: Path, form: Any) -> None:
    (path / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(form.SerializeToString())


def _weights(path: Path, change: Callable[[bytearray], None]) -> None:
    file = path / coreml_file.WEIGHTS / "weight.bin"
    stored = bytearray(file.read_bytes())
    change(stored)
    file.write_bytes(stored)


class Changed(CoremlExporter):
    """Writes a package, and then changes it."""

    def __init__(self, change: Callable[[Path], None]) -> None:
        self.change = change

    def export(self, model: nn.Module, path: Path, **options: Any) -> None:
        super().export(model, path, **options)
        self.change(path)


WRONG = {
    swapped_colours: "drifts from the model", another_resize: "drifts from the model",
    not_a_number: "holds numbers that are not finite, in ", lost_size: "declares an image of 32x64",
    another_name: "takes picture, not image",
}  # fmt: skip


@pytest.mark.parametrize("change", WRONG)
def test_a_changed_package_is_refused_and_not_kept(
    change: Callable[[Path], None], net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = registry.build
    monkeypatch.setattr(
        writing.registry, "build", lambda kind, spec: Changed(change) if kind == "exporter" else build(kind, spec)
    )
    with pytest.raises((ConfigError, WeightsError), match=WRONG[change]) as caught:
        export(net, "coreml", tmp_path / "n.mlpackage", size=SIZE)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_of_operators_that_are_not_known_the_form_alone_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "n.mlpackage"
    report = export(Net(bend=lambda x: torch.atan(x) + 2).eval(), None, path, size=SIZE)
    assert report.drift == () and "only its form was looked at, not its arithmetic, for atan" in report.notes[1]
    loaded = load_exported(path)
    assert loaded.input_size == SIZE
    with pytest.raises(ConfigError, match="runs on a Mac alone; here only its form was looked at"):
        loaded(torch.rand(1, 3, *SIZE))


@pytest.mark.parametrize("content", ["nothing", "a file", "no program", "no weights"])
def test_damaged_packages_are_refused_in_a_line(content: str, written: Path, tmp_path: Path) -> None:
    path = tmp_path / "n.mlpackage"
    if content == "a file":
        path.write_bytes(b"\xff" * 300)
    elif content != "nothing":
        import shutil

        shutil.copytree(written, path)
        inner = path / "Data" / "com.apple.CoreML"
        (inner / "model.mlmodel").write_bytes(b"\xff" * 300) if content == "no program" else \
            (inner / "weights" / "weight.bin").unlink()
    with pytest.raises(WeightsError) as caught:
        load_exported(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_on_a_mac_core_ml_is_given_what_it_takes(
    kind: Any, net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its own runtime would be given, with a stand-in for it: none of Apple's runs here."""
    import coremltools

    seen: dict[str, Any] = {}

    class Stand:
        def __init__(self, path: str, **options: Any) -> None:
            seen["units"] = options["compute_units"]

        def predict(self, given: Mapping[str, Any]) -> dict[str, Any]:
            seen.update(given)
            return {"depth": np.full((1, 1, *SIZE), 2.0, np.float16)}

    path = tmp_path / "n.mlpackage"
    export(net, None, path, size=SIZE, input=kind)
    monkeypatch.setattr(coreml_file.sys, "platform", "darwin")
    monkeypatch.setattr(coremltools.models, "MLModel", Stand)
    file = CoremlFile(path)
    assert file.runs and file.notes == () and seen["units"] == coremltools.ComputeUnit.CPU_ONLY
    image = torch.rand(1, 3, *SIZE)
    assert torch.equal(file(image), torch.full((1, 1, *SIZE), 2.0))
    if kind == "float":
        assert np.array_equal(seen["image"], image.numpy())
    else:
        assert seen["image"].mode == "RGB" and seen["image"].size == (SIZE[1], SIZE[0])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("spec", ["mobilenet", "timm:mobilenetv4_conv_small"])
def test_students_are_followed_whole(spec: str, precision: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    report = export(registry.build("student", spec).eval(), None, tmp_path / "s.mlpackage", size=(96, 128),
                    precision=precision)  # fmt: skip
    assert report.worst is not None and "followed" in report.notes[1]
    assert report.worst.relative < 1e-5 if precision == "fp32" else report.worst.abs_rel < 2e-3
