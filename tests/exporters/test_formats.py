"""Every format: written, run by its own runtime, read back as a model, and refused where it falls short."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from export_formats import FORMATS, cells, there
from export_nets import Net

from kdcli.errors import ConfigError, WeightsError
from kdcli.exporters import ExportReport, export, load_exported
from kdcli.exporters.sidecar import sidecar_of

SIZE = (64, 96)
ALL = ("onnx", "pt2", "openvino", "ncnn", "executorch", "litert")
"""Core ML has tests of its own, since nothing here runs it."""
ONE_SIZE = ("executorch", "litert")
"""Formats that always fix the size."""
HALF = ("onnx", "openvino", "ncnn", "litert")
BYTES = ("onnx", "pt2", "openvino", "executorch", "litert")


@pytest.fixture(scope="module")
def net() -> Net:
    return Net().eval()


def written(net: Net, form: str, folder: Path, **options: object) -> ExportReport:
    there(form)
    return export(net, None, folder / FORMATS[form][0], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", cells(*ALL))
def test_a_file_gives_the_networks_numbers(form: str, net: Net, tmp_path: Path) -> None:
    report = written(net, form, tmp_path, card={"student": "toy"})
    assert report.format == form and report.worst is not None and report.worst.relative < 1e-5
    assert (report.size is not None) == (form in ONE_SIZE)
    assert sorted(one.name for one in tmp_path.iterdir()) == list(report.files)
    assert report.bytes == sum(one.stat().st_size for one in tmp_path.iterdir())
    loaded = load_exported(report.path)
    assert (loaded.depth_kind, loaded.depth_range) == (net.depth_kind, net.depth_range)
    assert loaded.card["student"] == "toy" and loaded.provenance.licence == "MIT"
    image = torch.rand(2, 3, *(report.size or (48, 80)))
    with torch.no_grad():
        assert torch.allclose(loaded(image).depth, net(image).depth, atol=1e-4)


@pytest.mark.parametrize("form", cells(*ALL))
def test_a_file_of_one_size_refuses_others(form: str, net: Net, tmp_path: Path) -> None:
    report = written(net, form, tmp_path, size=SIZE)
    call = load_exported(report.path)._call
    with pytest.raises(ConfigError) as caught:
        call(torch.rand(1, 3, 32, 48))
    assert "64x96" in str(caught.value) or "32x48" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", cells(*BYTES))
def test_bytes_as_cameras_give_them(form: str, net: Net, tmp_path: Path) -> None:
    report = written(net, form, tmp_path, size=SIZE, input="uint8")
    loaded = load_exported(report.path)
    assert loaded.card["image"] == "B x H x W x 3 uint8, RGB"
    image = torch.randint(0, 256, (1, 3, *SIZE)) / 255
    with torch.no_grad():
        assert torch.allclose(loaded(image).depth, net(image).depth, atol=1e-4)


@pytest.mark.parametrize("form", cells(*HALF))
def test_half_precision_is_smaller_and_judged_by_depth(form: str, net: Net, tmp_path: Path) -> None:
    report = written(net, form, tmp_path, size=SIZE, precision="fp16")
    assert report.worst is not None and 1e-7 < report.worst.abs_rel < 2e-3


@pytest.mark.parametrize("form", cells("ncnn", "executorch", "litert"))
def test_what_lies_beside_is_missed_and_looked_at(form: str, net: Net, tmp_path: Path) -> None:
    path = written(net, form, tmp_path, size=SIZE).path
    beside = sidecar_of(path)
    text = beside.read_text()
    for wrong in ("[]", text.replace('"batch": 1', '"batch": 0'), text.replace("64,", "-64,")):
        beside.write_text(wrong)
        with pytest.raises(WeightsError, match="export it again"):
            load_exported(path)
    beside.unlink()
    with pytest.raises(WeightsError, match=r"\.json' is missing"):
        load_exported(path)


@pytest.mark.parametrize("form", cells("openvino", "ncnn", "executorch", "litert"))
def test_damaged_files_are_refused_in_a_line(form: str, net: Net, tmp_path: Path) -> None:
    path = written(net, form, tmp_path, size=SIZE).path
    path.write_bytes(path.read_bytes()[:-40] if form != "openvino" else b"<?xml version='1.0'?><net")
    with pytest.raises(WeightsError) as caught:
        load_exported(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("form", cells("openvino", "ncnn"))
def test_both_files_are_needed(form: str, net: Net, tmp_path: Path) -> None:
    path = written(net, form, tmp_path, size=SIZE).path
    path.with_suffix(".bin").unlink()
    with pytest.raises(WeightsError, match=r"\.bin' is missing"):
        load_exported(path)


def test_a_format_without_its_package_says_what_to_install(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for module in ("openvino", "pnnx", "litert_torch"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in ("n.xml", "n.ncnn.param", "n.tflite"):
        with pytest.raises(ConfigError, match=r"run: pip install 'kdcli\["):
            export(net, None, tmp_path / name, size=SIZE)
    assert not list(tmp_path.iterdir())
