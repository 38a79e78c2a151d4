from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kdcli import registry
from kdcli.errors import ConfigError, SpecError, WeightsError
from kdcli.networks.adabins import AdaBinsNet
from kdcli.networks.taps import TapReader
from kdcli.protocols import DepthModel
from kdcli.teachers.adabins import AdaBins, convert, fitting_size
from kdcli.weights import load_into


@pytest.fixture(autouse=True)
def _no_weights_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KDCLI_WEIGHTS", str(tmp_path / "weights"))


def _fill(folder: Path) -> dict[str, Tensor]:
    """Rebuild the weights of a golden folder by the recipe that lies beside it."""
    spec = importlib.util.spec_from_file_location("golden_fill", folder.parent / "fill.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    state: dict[str, Tensor] = module.fill_folder(folder, check=False)
    return state


def _shapes(shared: Path) -> dict[str, Tensor]:
    """Return the authors' layout without numbers."""
    entries = json.loads((shared / "golden/adabins_nyu/keys.json").read_text())["entries"]
    return {key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta") for key, shape, dtype in entries}


def _off(ours: Tensor, golden: np.ndarray[Any, Any]) -> float:
    return float(np.abs(ours.numpy() - golden).max() / np.abs(golden).max())


# The two checkpoints have 313 MB each: the indoor one is checked as a file, the other in memory.


@pytest.mark.slow
def test_the_authors_numbers_through_a_file_in_their_layout(shared: Path, tmp_path: Path) -> None:
    folder, file = shared / "golden/adabins_nyu", tmp_path / "weights/AdaBins_nyu.pt"
    file.parent.mkdir()
    state = {f"module.{key}": tensor for key, tensor in _fill(folder).items()}
    torch.save({"model": state, "epoch": 24, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}}, file)
    teacher = registry.build("teacher", "adabins")
    assert isinstance(teacher, DepthModel) and teacher.depth_range == (1e-3, 10.0)
    assert teacher.provenance.licence == "GPL-3.0" and teacher.provenance.training_data == "NYU Depth v2"
    assert not any(parameter.requires_grad for parameter in teacher.parameters()) and not teacher.training
    golden = np.load(folder / "output.npz")
    image = torch.from_numpy(np.load(folder / "input.npz")["image_u8"]).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad(), TapReader(teacher, ["enc1", "enc3", "enc5", "dec1", "dec4", "pre_head"]) as reader:
        prediction = teacher(image)
    assert _off(prediction.depth, golden["depth"]) < 1e-4
    assert prediction.probs is not None and prediction.centers is not None
    assert _off(prediction.probs[..., ::16, ::16], golden["probs_sub"]) < 1e-4
    edges = golden["bin_edges"]
    assert _off(prediction.centers, 0.5 * (edges[:, 1:] + edges[:, :-1])) < 1e-4
    for tap, inner in {
        "enc1": "encoder.original_model.blocks.0", "enc3": "encoder.original_model.blocks.2",
        "enc5": "encoder.original_model.conv_head", "dec1": "decoder.up1", "dec4": "decoder.up4", "pre_head": "decoder",
    }.items():
        feature = reader.features[tap]
        declared = teacher.taps[tap]
        assert feature.shape[1] == declared.channels and image.shape[-1] // feature.shape[-1] == declared.stride
        places = np.round(np.linspace(0, feature.numel() - 1, 256)).astype(int)
        assert _off(feature.flatten()[places], golden[f"tap.{inner}"]) < 1e-4
    file.unlink()
    with torch.no_grad():
        assert teacher(torch.rand(1, 3, 48, 64)).depth.shape == (1, 1, 208, 272)


@pytest.mark.slow
def test_the_authors_numbers_for_driving(shared: Path) -> None:
    folder = shared / "golden/adabins_kitti"
    with torch.device("meta"):
        network = AdaBinsNet(max_depth=80.0)
    network = network.to_empty(device="cpu").eval()
    load_into(network, convert(_fill(folder), folder), folder)
    with torch.no_grad():
        bins = network(torch.from_numpy(np.load(folder / "input.npz")["input"]))
    golden = np.load(folder / "output.npz")
    assert _off(bins.depth, golden["depth"]) < 1e-4 and _off(bins.edges, golden["bin_edges"]) < 1e-4


def test_every_name_of_the_authors_is_used_once_and_nothing_is_left_empty(shared: Path) -> None:
    original = _shapes(shared)
    renamed = convert(original, "x.pt")
    assert len(renamed) == len(original) == 973
    with torch.device("meta"):
        own = AdaBinsNet().state_dict()
    assert {key: tuple(value.shape) for key, value in renamed.items()} == {
        key: tuple(value.shape) for key, value in own.items()
    }


@pytest.mark.parametrize(
    ("new", "old"),
    [("_bins_layer.conv3x3.", "_bins_layer.embedding_conv."), (".embedding_convPxP.", ".embedding_encoder.")],
)
def test_older_names(shared: Path, new: str, old: str) -> None:
    original = _shapes(shared)
    older = {key.replace(new, old): tensor for key, tensor in original.items()}
    assert older.keys() != original.keys()
    assert convert(older, "x.pt").keys() == convert(original, "x.pt").keys()
    with pytest.raises(WeightsError, match="under two names"):
        convert(older | original, "x.pt")


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not have: backbone\.conv1\.weight"):
        convert({"backbone.conv1.weight": torch.zeros(1)}, "x.pt")
    torch.save({"conv_out.0.bias": torch.zeros(256)}, tmp_path / "part.pt")
    with pytest.raises(WeightsError, match=r"does not fit AdaBinsNet: 848 missing"):
        AdaBins(str(tmp_path / "part.pt"))


@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        ({}, ("AdaBins_nyu.pt", "https://github.com/shariqfarooq123/AdaBins", "weights")),
        ({"max_depth": 80.0}, ("AdaBins_kitti.pt", "https://github.com/shariqfarooq123/AdaBins")),
        ({"location": "no/where.pt"}, ("no/where.pt", "do not exist")),
    ],
)
def test_without_weights_one_line_says_where_to_get_them(options: Mapping[str, Any], pieces: tuple[str, ...]) -> None:
    with pytest.raises(WeightsError) as caught:
        AdaBins(**options)
    assert caught.value.exit_code == 4 and "\n" not in str(caught.value)
    assert all(piece in str(caught.value) for piece in pieces)


def test_a_range_that_does_not_hold() -> None:
    with pytest.raises(SpecError, match="max_depth=0"):
        AdaBins(max_depth=0.0)


def test_sizes() -> None:
    for own in ((480, 640), (416, 544), (352, 1216), (384, 353)):
        assert fitting_size(*own) == own
    assert fitting_size(96, 128) == (416, 544)
    for small in ((32, 32), (20, 900), (900, 20), (1, 1), (370, 380)):
        height, width = fitting_size(*small)
        assert 128 < (height // 32) * (width // 32) <= 500
    with pytest.raises(ConfigError, match=r"--size 608x800"):
        fitting_size(3000, 4000)
    assert fitting_size(608, 800) == (608, 800)
