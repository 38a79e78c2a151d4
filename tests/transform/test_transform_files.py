"""Files of transformation networks and of recorded statistics, when they are damaged or a stranger's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from kdcli.errors import WeightsError
from kdcli.transform import Statistics, TransformNetwork, load, read, save, write
from kdcli.weights import load_tensors, read_metadata

NO_OBJECTS = ("", "x", "3", "[]", "null", '"a"', "[" * 200_000, '{"a":' * 50_000)


def _refused(read_: Any, path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_(path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500 and str(path) in text
    return text


def _network(path: Path, change: Any, key: str = "architecture", tensors: dict[str, Tensor] | None = None) -> Path:
    """Write a small network whose header is changed."""
    save(TransformNetwork(width=4, depth=1), path, {"steps": 3})
    header = read_metadata(path)
    header[key] = json.dumps(json.loads(header[key]) | change) if isinstance(change, dict) else change
    save_file({**load_tensors(path), **(tensors or {})}, path, metadata=header)
    return path


@pytest.mark.parametrize("key", ["architecture", "provenance"])
@pytest.mark.parametrize("text", NO_OBJECTS)
def test_headers_that_are_no_headers(tmp_path: Path, key: str, text: str) -> None:
    assert "does not hold the network" in _refused(load, _network(tmp_path / "t.safetensors", text, key))


@pytest.mark.parametrize(
    "change",
    [{"form": 3}, {"form": "none"}, {"width": "wide"}, {"width": None}, {"width": 0}, {"width": 4.5}, {"depth": -1},
     {"depth": []}, {"strength": 0}, {"strength": "a"}, {"strength": float("nan")}, {"strength": float("inf")},
     {"more": 1}],
    ids=str,
)
def test_architectures_that_are_none(tmp_path: Path, change: dict[str, Any]) -> None:
    assert "does not hold the network" in _refused(load, _network(tmp_path / "t.safetensors", change))


@pytest.mark.parametrize("change", [{"width": 1 << 20}, {"width": 10**30}, {"depth": 10**9}], ids=str)
def test_networks_far_larger_than_their_file_are_not_made(tmp_path: Path, change: dict[str, Any]) -> None:
    assert re.search("far larger than itself|are beyond", _refused(load, _network(tmp_path / "t.safetensors", change)))


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    weight = {"residual.0.weight": torch.full((4, 3, 3, 3), float("nan"))}
    assert "residual.0.weight" in _refused(load, _network(tmp_path / "t.safetensors", {}, tensors=weight))


def _statistics(path: Path, provenance: str | None = None, **tensors: Tensor) -> Path:
    write(Statistics(mean={"enc1": torch.ones(3)}, variance={"enc1": torch.ones(3)}, provenance={"images": 2}), path)
    header = read_metadata(path) | ({} if provenance is None else {"provenance": provenance})
    save_file({**load_tensors(path), **{key.replace("_", "."): value for key, value in tensors.items()}}, path, header)
    return path


def test_statistics_of_one_tap_keep_its_name(tmp_path: Path) -> None:
    assert list(read(_statistics(tmp_path / "s.safetensors")).mean) == ["enc1"]


@pytest.mark.parametrize("text", [*NO_OBJECTS[:3], *NO_OBJECTS[5:], '{"teacher": 3}', '{"teacher": {"sha256": 3}}'])
def test_where_statistics_come_from_when_it_is_damaged(tmp_path: Path, text: str) -> None:
    assert "is damaged" in _refused(read, _statistics(tmp_path / "s.safetensors", text))


def test_statistics_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    for tensors, piece in (
        ({"enc1_mean": torch.ones(4)}, "no mean and variance of channels for 'enc1'"),
        ({"enc1_mean": torch.ones(1, 3), "enc1_variance": torch.ones(1, 3)}, "no mean and variance of channels"),
        ({"enc1_mean": torch.tensor([1.0, float("nan"), 1.0])}, "no mean and variance of channels"),
        ({"enc1_variance": torch.tensor([1.0, float("inf"), 1.0])}, "no mean and variance of channels"),
        ({"enc1_variance": torch.tensor([1.0, -1.0, 1.0])}, "no mean and variance of channels"),
        ({"enc1_variance": torch.ones(3, dtype=torch.int64)}, "no mean and variance of channels"),
        ({"enc2_mean": torch.ones(3)}, "lacks means or variances"),
    ):
        assert piece in _refused(read, _statistics(path, **tensors))
    save_file({}, path, metadata=read_metadata(_statistics(path)))
    assert "lacks means or variances" in _refused(read, path)
