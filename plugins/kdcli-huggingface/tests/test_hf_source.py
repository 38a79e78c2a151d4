"""``hf:`` as a source: tables of images and depth on this machine."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kdcli_huggingface import files, tables
from kdcli_huggingface.source import HfSource

from kdcli.errors import ConfigError, DataError
from kdcli.testing import check_source
from kdcli.types import DepthKind, Sample

if importlib.util.find_spec("datasets") is None:
    pytest.skip("datasets is not installed; pip install 'kdcli-huggingface[datasets]'", allow_module_level=True)

import datasets
import hf_data


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that ``save_to_disk`` wrote."""
    return hf_data.saved(tmp_path_factory.mktemp("tables") / "rooms")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def depth(sample: Sample) -> np.ndarray[Any, Any]:
    assert sample.depth is not None and sample.valid is not None
    assert torch.equal(sample.valid[0], torch.from_numpy(sample.depth[0].numpy() > 0)) and not sample.valid[0, 2, 3]
    return sample.depth[0].numpy()


@pytest.mark.parametrize("column", [None, "depth_map", "sixteen", "array", "whole"])
def test_the_depth_that_went_in_comes_out(place: Path, column: str | None) -> None:
    source = HfSource(location=str(place), depth=column)
    assert len(source) == hf_data.ROWS and source.depth_kind is DepthKind.METRIC
    for row in range(hf_data.ROWS):
        sample = source[row]
        near = 5e-4 if column in ("sixteen", "whole") else 0
        assert np.allclose(depth(sample), hf_data.metres(row), rtol=0, atol=near)
        assert torch.equal((sample.image * 255).round().byte().permute(1, 2, 0), torch.from_numpy(hf_data.pixels(row)))
    assert not [finding for finding in source.check() if finding.level != "info"]


def test_parquet_holds_the_same(place: Path, tmp_path: Path) -> None:
    file = hf_data.parquet(tmp_path / "rooms" / "train-00000-of-00001.parquet")
    for location in (file, file.parent):
        source = HfSource(location=str(location), depth="sixteen")
        assert np.allclose(depth(source[4]), hf_data.metres(4), atol=5e-4) and len(source) == hf_data.ROWS


def test_splits_and_rows(tmp_path: Path) -> None:
    folder = hf_data.splits(tmp_path / "both")
    with pytest.raises(ConfigError, match="has the splits train, validation; choose one with split="):
        HfSource(location=str(folder))
    with pytest.raises(ConfigError, match="has no split 'test'; it has train, validation"):
        HfSource(location=str(folder), split="test")
    assert len(HfSource(location=str(folder), split="validation")) == 2
    source = HfSource(location=str(folder), split="train", start=1, every=2)
    assert [source[i].id for i in range(2)] == ["row1", "row3"] and source[-1].id == "row3"
    drawn = HfSource(location=str(folder), split="train", count=3, seed=1)
    assert len(drawn) == 3 and [drawn[i].id for i in range(3)] == sorted(drawn[i].id for i in range(3))
    with pytest.raises(ConfigError, match="leave none of the 5 rows"):
        HfSource(location=str(folder), split="train", start=5)
    with pytest.raises(ConfigError, match="is on this machine, which has no revisions"):
        HfSource(location=str(folder), split="train", revision="main")


@pytest.mark.parametrize(("column", "mode"), [("grey", "L"), ("colour", "RGB")])
def test_a_picture_of_depth_is_refused(place: Path, column: str, mode: str) -> None:
    source = HfSource(location=str(place), depth=column)
    with pytest.raises(DataError, match=rf"row 2 .*, column '{column}', is a picture of mode {mode}, .* and not depth"):
        _ = source[2]
    assert [finding.level for finding in source.check()].count("error") == hf_data.ROWS


def test_columns_that_hold_something_else(place: Path) -> None:
    for options, said in (
        ({"depth": "caption"}, "column 'caption', holds str.* not a map of numbers"),
        ({"image": "sixteen"}, "column 'sixteen', is a map of mode I;16, no photograph"),
        ({"image": "caption"}, "column 'caption', holds str, not a picture"),
        ({"depth": "small"}, r"column 'small', has 6x5 \(height x width\) numbers, its image 6x8"),
        ({"instances": "colour"}, "column 'colour', holds a picture of mode RGB, not object ids"),
        ({"camera": "array"}, "column 'array', holds no camera of 3 x 3 or 4 numbers"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            _ = HfSource(location=str(place), **options)[1]
        assert str(place) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"depth=dept: .* has no such column; it has image, depth_map, sixteen"):
        HfSource(location=str(place), depth="dept")


def test_units(place: Path) -> None:
    known = hf_data.metres(1)
    assert np.allclose(depth(HfSource(location=str(place), depth="sixteen", unit="cm")[1]), known * 10, atol=5e-3)
    assert np.allclose(depth(HfSource(location=str(place), depth="array", scale=2)[1]), known / 2)
    near = HfSource(location=str(place), max_depth=3)[1]
    assert near.valid is not None and int(near.valid.sum()) == int(((known > 0) & (known <= 3)).sum())
    with pytest.raises(ConfigError, match="scale=2 and unit=mm both say what is stored"):
        HfSource(location=str(place), scale=2, unit="mm")
    warned = HfSource(location=str(place), depth="sixteen", unit="m").check()
    assert [finding.level for finding in warned] == ["warning", "info"] and "is not usual" in warned[0].message


def test_objects_and_camera(place: Path) -> None:
    source = HfSource(location=str(place), instances="objects", camera="K", depth="none")
    sample = source[2]
    assert source.depth_kind is None and sample.depth is None and source.has_instances
    assert sample.instances is not None and sample.intrinsics is not None
    assert np.array_equal(sample.instances.numpy(), (hf_data.metres(2) > 3) * 9)
    assert sample.intrinsics.tolist() == [102, 101, 4, 3]


def test_it_holds_to_the_contract(place: Path) -> None:
    check_source(HfSource(location=str(place), instances="objects", camera="K"))
    again = pickle.loads(pickle.dumps(HfSource(location=str(place))))
    assert again[3].id == "row3" and np.array_equal(depth(again[3]), hf_data.metres(3))


def test_what_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="is neither a folder that save_to_disk wrote nor Parquet"):
        HfSource(location=f"{tmp_path}/photos")
    with pytest.raises(DataError, match="'gone' does not exist; give a folder, a Parquet file, or ORG/NAME"):
        HfSource(location="gone")
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"a\.parquet' cannot be loaded") as caught:
        HfSource(location=f"{tmp_path}/a.parquet")
    assert "\n" not in str(caught.value)


def test_a_hub_that_must_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    monkeypatch.setattr(files.socket, "create_connection", lambda *a, **k: pytest.fail("the network was asked"))
    with pytest.raises(DataError, match=r"neither on this machine nor in the cache .*, and KDCLI_OFFLINE is set"):
        HfSource(location="nobody/has-this")
    assert not datasets.config.HF_HUB_OFFLINE


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"is not installed; run pip install 'kdcli-huggingface\[datasets\]'"):
        HfSource(location="somebody/rooms")


def test_code_that_comes_with_data_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found rooms.py")

    monkeypatch.setattr(tables, "no_hub", lambda: None)
    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(DataError, match="comes with code that loads it, which is not run; use a conversion"):
        HfSource(location="somebody/rooms")
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    with pytest.raises(DataError, match=r"datasets 3\.6\.0 runs code that data sets bring with them"):
        HfSource(location="somebody/rooms")
