"""What a device gave for a file, brought back: held against the model, by the same limits, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from kdcli import models
from kdcli.cli import export as commands
from kdcli.errors import ConfigError, DataError
from kdcli.exporters import export, load_exported
from kdcli.exporters.formats.pt2 import Pt2Exporter
from kdcli.exporters.gate.brought import read_brought
from kdcli.exporters.verifying import verify
from kdcli.testing import ToyDepth

SIZE = (32, 48)


@pytest.fixture
def toy() -> ToyDepth:
    return ToyDepth().eval()


@pytest.fixture
def file(toy: ToyDepth, tmp_path: Path) -> Path:
    export(toy, None, tmp_path / "toy.pt2", size=SIZE, verify=False)
    return tmp_path / "toy.pt2"


def brought(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "brought.npz", **arrays)
    return folder / "brought.npz"


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def maps(toy: ToyDepth, images: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return toy(images).depth.numpy()


def test_right_maps_pass(toy: ToyDepth, file: Path, images: torch.Tensor) -> None:
    before = sorted(file.parent.iterdir())
    told = brought(file.parent, image=images.numpy(), depth=maps(toy, images))
    report = verify(toy, file, told)
    assert len(report.drift) == 3 and report.worst is not None and report.worst.relative < 1e-6
    assert report.size == SIZE and report.format == "pt2" and report.bytes == file.stat().st_size
    assert report.notes == ("proved by what a device gave for 3 images in 'brought.npz'; nothing was written",)
    assert sorted(file.parent.iterdir()) == sorted([*before, told])


def test_wrong_maps_do_not_pass(toy: ToyDepth, file: Path, images: torch.Tensor) -> None:
    right = maps(toy, images)
    for wrong in (right * 1.01, maps(toy, images.flip(1)), np.where(right > right.mean(), np.nan, right)):
        with pytest.raises(ConfigError, match=r"drifts from the model|not finite"):
            verify(toy, file, brought(file.parent, image=images.numpy(), depth=wrong))
    assert file.exists()


def test_a_file_in_half_is_judged_by_depth(toy: ToyDepth, file: Path, images: torch.Tensor) -> None:
    known = load_exported(file)._call.metadata
    assert known["precision"] == "fp32"
    told = brought(file.parent, image=images.numpy(), depth=maps(toy, images) * 1.0015)
    with pytest.raises(ConfigError, match="drifts"):
        verify(toy, file, told)
    Pt2Exporter().export(toy, file, size=SIZE, dynamic=False, metadata={**known, "precision": "fp16"})
    assert verify(toy, file, told).drift[0].abs_rel == pytest.approx(0.0015, rel=1e-3)
    with pytest.raises(ConfigError, match="the fp16 file is 1"):
        verify(toy, file, brought(file.parent, image=images.numpy(), depth=maps(toy, images) * 1.01))


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"image": np.ones((1, 3, *SIZE), np.float32)}, "has no array depth"),
        ({"depth": np.ones((1, 1, 16, 24), np.float32)}, "has no array image"),
        ({"image": np.ones((1, *SIZE, 3), np.float32), "depth": np.ones((16, 24))}, "has an image of 1x32x48x3"),
        ({"image": np.ones((1, 3, *SIZE), np.uint8), "depth": np.ones((16, 24))}, "image of 1x3x32x48 torch.uint8"),
        ({"image": np.full((3, *SIZE), 255.0), "depth": np.ones((16, 24))}, "numbers outside of 0..1"),
        ({"image": np.ones((2, 3, *SIZE)), "depth": np.ones((1, 1, 16, 24))}, "not a map of floats for each of 2"),
        ({"image": np.ones((3, *SIZE)), "depth": np.ones((16, 24), np.int32)}, "of 1x1x16x24 torch.int32, not a map"),
        ({"image": np.array(["a"]), "depth": np.ones((16, 24))}, "holds <U1 of shape 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_held_against_the_model(arrays: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told) as caught:
        read_brought(brought(tmp_path, **arrays), ("depth",), "float")
    assert "\n" not in str(caught.value)


def test_one_image_may_come_without_its_axis(tmp_path: Path) -> None:
    bytes_, depth = np.full((*SIZE, 3), 51, np.uint8), np.ones((16, 24), np.float16)
    found = read_brought(brought(tmp_path, image=bytes_, depth=depth), ("depth",), "uint8")
    assert found.images.shape == (1, 3, *SIZE) and found(found.images).shape == (1, 1, 16, 24)
    assert found.images.unique().tolist() == pytest.approx([0.2])


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04" * 9, b"no zip"):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_brought(tmp_path / "b.npz", ("depth",), "float")
        assert "\n" not in str(caught.value)


def test_maps_are_of_this_file_and_this_model(toy: ToyDepth, file: Path, images: torch.Tensor) -> None:
    told = brought(file.parent, image=images.numpy(), depth=maps(toy, images))
    with pytest.raises(ConfigError, match=r"there is no file at .*export it first, with --probe"):
        verify(toy, file.with_name("other.pt2"), told)
    with pytest.raises(ConfigError, match="is of another model"):
        verify(ToyDepth(seed=4).eval(), file, told)
    with pytest.raises(ConfigError, match=r"is not what was asked for.*\(precision: fp32, not fp16\)"):
        verify(toy, file, told, asked={"precision": "fp16"})
    other = brought(file.parent, image=images[..., :32].numpy(), depth=maps(toy, images[..., :32]))
    with pytest.raises(ConfigError, match=r"has images of 32x32; .* takes 32x48"):
        verify(toy, file, other)


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_images_go_to_the_device_and_maps_come_back(
    kind: str, toy: ToyDepth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load_model", lambda text, *rest: toy)
    app = typer.Typer()
    commands.register(app)
    out, probe = tmp_path / "toy.pt2", tmp_path / "probe.npz"
    common = ["m", "--out", str(out), "--size", "32x48", "--input", kind]
    told = CliRunner().invoke(app, [*common, "--probe", str(probe), "--no-verify"])
    assert told.exit_code == 0, told.exception
    taken = np.load(probe)["image"]
    assert taken.shape == ((2, 3, *SIZE) if kind == "float" else (2, *SIZE, 3))
    given = torch.from_numpy(taken) if kind == "float" else torch.from_numpy(taken).permute(0, 3, 1, 2) / 255
    there = brought(tmp_path, image=taken, depth=maps(toy, given.float()))
    found = json.loads(CliRunner().invoke(app, [*common, "--verify-on", str(there), "--json"]).stdout)
    assert found["verified"] and len(found["drift"]) == 2 and found["size"] == [32, 48]
    for more in (["--probe", str(probe)], ["--no-verify"], ["--images", str(tmp_path)]):
        wrong = CliRunner().invoke(app, [*common, "--verify-on", str(there), *more]).exception
        assert isinstance(wrong, ConfigError) and f"leave out {more[0]}" in str(wrong)
