"""``kdcli data split``: lists that sources read back, the same each time, and never over a file unasked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import trees
import typer
from typer.testing import CliRunner

from kdcli.cli import data
from kdcli.errors import ConfigError
from kdcli.sources import load_source
from kdcli.sources.checks import survey


def call(*words: object) -> Any:
    app = typer.Typer()
    data.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["data", *map(str, words)])


def divided(spec: str, root: Path, *words: object) -> dict[str, Any]:
    result = call("split", spec, "--out", root / "train.txt", root / "test.txt", "--json", *words)
    assert result.exit_code == 0, result.exception
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def scenes(root: Path) -> str:
    """Six rooms of NYU, two of them in two recordings, three frames each."""
    for n, scene in enumerate(("a_0001a", "a_0001b", "b_0002", "c_0003a", "c_0003b", "d_0004", "e_0005", "f_0006")):
        for i in range(3):
            trees.photo(root / scene / f"rgb_{i:05}.jpg", 48, 64, 10 * n + i)
            trees.depth(root / scene / f"sync_depth_{i:05}.png", 48, 64, 2500)
    return f"nyu:{root}"


def test_scenes_stay_together(tmp_path: Path) -> None:
    spec = scenes(tmp_path / "set")
    document = divided(spec, tmp_path, "--share", 0.3)
    parts = [load_source(f"{spec},list={tmp_path}/{part}.txt") for part in ("train", "test")]
    ids = [[pair.id for pair in part.pairs] for part in parts]
    assert [len(one) for one in ids] == [document["train"]["images"], document["test"]["images"]]
    assert sorted(ids[0] + ids[1]) == sorted(pair.id for pair in load_source(spec).pairs)
    assert 3 <= len(ids[1]) <= 12
    rooms = [{re.sub(r"[ab]?/.*", "", name) for name in one} for one in ids]
    assert not rooms[0] & rooms[1]
    assert [len(part.findings) for part in map(survey, parts)] == [0, 0]


@pytest.mark.parametrize("make", ["kitti", "rgbd", "partly", "nyu"])
@pytest.mark.parametrize("by", ["index", "random"])
def test_every_layout_reads_its_list_back(tmp_path: Path, make: str, by: str) -> None:
    root = tmp_path / "my set"
    spec = {
        "kitti": lambda: trees.kitti(root), "rgbd": lambda: trees.rgbd(root, 6),
        "partly": lambda: trees.partly(root, 6, range(2, 5)), "nyu": lambda: trees.nyu(root, split=False),
    }[make]()
    whole = load_source(spec)
    divided(spec, tmp_path, "--by", by, "--share", 0.4, "--seed", 3)
    known = {pair.id: pair for pair in whole.pairs}
    found = []
    for part in ("train", "test"):
        source = load_source(f"{spec},list={tmp_path}/{part}.txt")
        for i, pair in enumerate(source.pairs):
            same = known[pair.id]
            assert (pair.image, pair.depth, pair.mask) == (same.image, same.depth, same.mask)
            found.append(pair.id)
            assert (source[i].depth is None) == (pair.depth is None)
    assert sorted(found) == sorted(known)


def test_the_same_for_the_same_seed(tmp_path: Path) -> None:
    spec = trees.rgbd(tmp_path / "set", 12)
    first = divided(spec, tmp_path, "--by", "random", "--share", 0.25)
    text = (tmp_path / "train.txt").read_text()
    again = divided(spec, tmp_path, "--by", "random", "--share", 0.25, "--force")
    assert again == first and (tmp_path / "train.txt").read_text() == text
    other = divided(spec, tmp_path, "--by", "random", "--share", 0.25, "--force", "--seed", 1)
    assert other["test"]["sha256"] != first["test"]["sha256"] and other["test"]["images"] == 3


def test_nothing_is_written_over_unasked(tmp_path: Path) -> None:
    spec = trees.rgbd(tmp_path / "set", 4)
    (tmp_path / "test.txt").write_text("mine")
    result = call("split", spec, "--by", "random", "--out", tmp_path / "train.txt", tmp_path / "test.txt")
    assert isinstance(result.exception, ConfigError) and "--force" in str(result.exception)
    assert (tmp_path / "test.txt").read_text() == "mine" and not (tmp_path / "train.txt").exists()
    twice = call("split", spec, "--by", "random", "--out", tmp_path / "a.txt", tmp_path / "a.txt")
    assert isinstance(twice.exception, ConfigError)


def test_a_changed_list_is_told(tmp_path: Path) -> None:
    spec = trees.rgbd(tmp_path / "set", 6)
    divided(spec, tmp_path, "--by", "index", "--share", 0.34)
    path = tmp_path / "train.txt"
    path.write_text(path.read_text().rstrip("\n").rpartition("\n")[0] + "\n")
    (found,) = survey(load_source(f"{spec},list={path}")).findings
    assert found.level == "warning" and "was changed" in found.message and str(path) in found.message


def test_folders_and_levels(tmp_path: Path) -> None:
    for house in "ab":
        for room in "xyz":
            trees.photos(tmp_path / "set" / house / room, 2)
    spec = f"folder:{tmp_path}/set,recursive=true"
    assert divided(spec, tmp_path, "--by", "folder", "--share", 0.3)["test"]["images"] == 4
    document = divided(spec, tmp_path, "--by", "scene", "--level", 1, "--share", 0.3, "--force")
    assert document["test"]["images"] == 6 and document["level"] == 1 and "1 of 2 scenes" in document["rule"]


@pytest.mark.parametrize(
    ("spec", "words", "message"),
    [
        ("sim:rooms,count=9", (), "has no files"), ("rgbd", ("--share", 1.5), "--share 1.5"),
        ("rgbd", ("--by", "scene"), "of one scene"), ("rgbd", ("--by", "index", "--level", 1), "--level 1"),
    ],
)
def test_what_cannot_be_divided(tmp_path: Path, spec: str, words: tuple[object, ...], message: str) -> None:
    spec = trees.rgbd(tmp_path / "set", 4) if spec == "rgbd" else spec
    result = call("split", spec, "--out", tmp_path / "a.txt", tmp_path / "b.txt", *words)
    assert isinstance(result.exception, ConfigError) and message in str(result.exception)
