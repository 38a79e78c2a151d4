from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from kdcli.cli import weights as commands
from kdcli.errors import WeightsError
from kdcli.plugins import registry
from kdcli.weights import entries, entry_of, folders, locate
from kdcli.weights.table import converted

TEACHERS = {
    "adabins-kitti", "adabins-nyu", "bts-densenet161-kitti", "bts-densenet161-nyu", "bts-resnet50-kitti",
    "bts-resnet50-nyu", "depthart", "depthart-224", "depthformer-swinl-kitti", "depthformer-swinl-nyu",
    "depthformer-swint-kitti", "depthformer-swint-nyu", "fastdepth-nyu", "fastdepth-pruned-nyu", "fcrn-resnet18-nyu",
    "fcrn-resnet50-nyu",
    "guidedepth-kitti", "guidedepth-nyu", "guidedepth-s-kitti", "guidedepth-s-nyu", "hu2019-densenet161-nyu",
    "hu2019-resnet50-nyu", "hu2019-senet154-nyu", "mff-mobilenetv2-nyu", "mff-resnet34-nyu", "midas-small",
    "tie-kd-mobilenetv2-kitti", "tie-kd-mobilenetv2-nyu", "tie-kd-resnet18-kitti", "tie-kd-resnet18-nyu",
    "tie-kd-resnet50-kitti", "tie-kd-resnet50-nyu", "zipdepth", "zipdepth-npu",
}


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KDCLI_WEIGHTS", str(tmp_path / "own"))


def test_every_entry_can_be_had() -> None:
    for name, entry in entries().items():
        assert entry.name == name and (entry.address or entry.page) and entry.licence != "unknown"
        assert entry.training_data != "unknown" and "\n" not in entry.advice and len(entry.advice) < 500
        assert entry.url is None or entry.url.startswith("https://")
        assert entry.address or entry.how or entry.train, "what is fetched by hand says how"
        assert entry.member is None or (entry.url or "").endswith(".zip")
        assert entry.sha256 is None or len(bytes.fromhex(entry.sha256)) == 32
    assert {name for name in entries() if not name.endswith("-imagenet")} == TEACHERS
    assert entries()["adabins-kitti"].depth_range == (1e-3, 80.0) and entries()["midas-small"].depth_range is None


def test_no_two_entries_share_a_file() -> None:
    files = [file for entry in entries().values() for file in {entry.file, converted(entry.file)}]
    assert len(set(files)) == len(files)
    assert all(entry_of(Path("any") / file) is not None for file in files)
    assert entry_of(Path("model_best.pth.tar")) is None


def test_what_was_never_released_can_be_trained() -> None:
    for entry in entries().values():
        if entry.train is not None:
            with torch.device("meta"):  # its options are right: it is built, but without numbers
                registry.build("student", entry.train)
            assert not entry.address and f"--student {entry.train}`" in entry.advice


def test_names_of_converted_files() -> None:
    for file, wanted in {
        "a.pth.tar": "a", "a.pt": "a", "model_senet": "model_senet", "v1.2": "v1.2", "A.PTH": "A", "a.tar": "a",
        "x.safetensors": "x", "a.b.ckpt": "a.b",
    }.items():
        assert converted(file) == f"{wanted}.safetensors"


def test_a_converted_file_is_found_by_name_before_the_released_one(tmp_path: Path) -> None:
    own, _ = folders()
    own.mkdir()
    (own / "N_t_X.pt").touch()
    assert locate("mff-resnet34-nyu") == own / "N_t_X.pt"
    (own / "N_t_X.safetensors").touch()
    assert locate("mff-resnet34-nyu") == own / "N_t_X.safetensors"
    assert locate("mff-resnet34-nyu", released=True) == own / "N_t_X.pt" == locate("N_t_X.pt")


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, cache = folders()
    cache.mkdir(parents=True)
    (cache / "AdaBins_nyu.pt").write_bytes(b"cache")
    assert locate("adabins-nyu") == cache / "AdaBins_nyu.pt"
    own.mkdir()
    (own / "AdaBins_nyu.pt").write_bytes(b"own")
    assert locate("adabins-nyu") == own / "AdaBins_nyu.pt" == locate("AdaBins_nyu.pt")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "AdaBins_nyu.pt").write_bytes(b"here")
    assert locate("AdaBins_nyu.pt") == Path("AdaBins_nyu.pt")
    monkeypatch.delenv("KDCLI_WEIGHTS")
    assert folders() == (cache,)


def test_what_is_missing_is_answered_with_where_to_get_it(tmp_path: Path) -> None:
    for name, pieces in {
        "adabins-nyu": ("github.com/shariqfarooq123/AdaBins", "AdaBins_nyu.pt", str(tmp_path / "own")),
        "resnet18-imagenet": ("kdcli weights pull resnet18-imagenet",),
        "adabins-nyuu": ("Did you mean 'adabins-nyu'?", "kdcli weights list"),
        "depthformer-swint-kitti": ("released none", "--student depthformer,backbone=swin-t"),
        "some/where.pth": ("do not exist",),
        str(tmp_path): ("folder",),
    }.items():
        with pytest.raises(WeightsError) as caught:
            locate(name)
        assert all(piece in str(caught.value) for piece in pieces) and "\n" not in str(caught.value)
        assert caught.value.exit_code == 4


def test_commands(tmp_path: Path) -> None:
    app = typer.Typer()
    commands.register(app)
    app.command("other")(lambda: None)
    listed = CliRunner().invoke(app, ["weights", "list", "--json"])
    assert {item["name"] for item in json.loads(listed.stdout)} == set(entries())
    file = folders()[0] / "AdaBins_kitti.pt"
    file.parent.mkdir()
    file.write_bytes(b"x")
    assert CliRunner().invoke(app, ["weights", "where", "adabins-kitti"]).stdout.strip() == str(file)
    pulled = CliRunner().invoke(app, ["weights", "pull", "adabins-kitti", "--json"])
    assert json.loads(pulled.stdout)["size"] == 1
    missing = CliRunner().invoke(app, ["weights", "where", "adabins-nyu"])
    assert isinstance(missing.exception, WeightsError)
    assert "adabins-nyu" in CliRunner().invoke(app, ["weights", "list"]).stdout
