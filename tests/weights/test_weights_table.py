from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kdcli.cli import weights as commands
from kdcli.errors import WeightsError
from kdcli.weights import entries, folders, locate


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KDCLI_WEIGHTS", str(tmp_path / "own"))


def test_every_entry_can_be_had() -> None:
    for name, entry in entries().items():
        assert entry.name == name and (entry.address or entry.page) and entry.licence != "unknown"
    assert entries()["adabins-kitti"].depth_range == (1e-3, 80.0)


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
        "adabins-nyuu": ("Did you mean 'adabins-nyu'?",),
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
