"""``nyu:`` reads list files and folders in the layout of BTS and AdaBins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdcli.errors import ConfigError, DataError, SpecError
from kdcli.protocols import Source
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.lists import read_list

LINE = "{0}/rgb_{1:05}.jpg {0}/sync_depth_{1:05}.png 518.8579"


@pytest.fixture
def scenes(tmp_path: Path, photo: Any, depth16: Any) -> Path:
    made = (("sync", "kitchen_0001", 2), ("sync", "office_0002", 1), ("official_splits/test", "bathroom", 1))
    for base, scene, n in made:
        for i in range(n):
            photo(tmp_path / base / scene / f"rgb_{i:05}.jpg", seed=i)
            depth16(tmp_path / base / scene / f"sync_depth_{i:05}.png", value=1000 * (i + 1))
    return tmp_path


def ids(source: Any) -> list[str]:
    return [pair.id for pair in source.pairs]


def test_a_list_in_the_root_is_found(scenes: Path) -> None:
    rows = ["/" + LINE.format("kitchen_0001", 1).replace(" ", " /", 1), LINE.format("office_0002", 0)]
    (scenes / "mini_files_with_gt.txt").write_text("\ufeff" + "\r\n".join([*rows, "", "# end"]))
    source = load_source(f"nyu:{scenes}")
    assert isinstance(source, Source) and source.name == "nyu"
    assert ids(source) == ["kitchen_0001/rgb_00001.jpg", "office_0002/rgb_00000.jpg"]
    sample = source[0]
    assert sample.depth is not None and sample.depth.mean() == 2.0 and sample.depth.shape == (1, 12, 16)
    assert sample.intrinsics is not None
    assert sample.intrinsics.tolist() == pytest.approx([518.8579, 518.8579, 7.5, 5.5])


def test_a_split_chooses_list_and_folder(scenes: Path) -> None:
    (scenes / "nyu_train_files_with_gt.txt").write_text("/" + LINE.format("kitchen_0001", 0))
    (scenes / "nyu_test_files_with_gt.txt").write_text(LINE.format("bathroom", 0))
    with pytest.raises(ConfigError, match="2 lists"):
        load_source(f"nyu:{scenes}")
    test = load_source(f"nyu:{scenes},split=test")
    assert ids(test) == ["bathroom/rgb_00000.jpg"] and test[0].depth is not None
    assert ids(load_source(f"nyu:{scenes},split=train")) == ["kitchen_0001/rgb_00000.jpg"]
    assert ids(load_source(f"nyu:{scenes},list=nyu_test_files_with_gt.txt")) == ["bathroom/rgb_00000.jpg"]
    with pytest.raises(SpecError, match="train"):
        load_source(f"nyu:{scenes},split=tain")


def test_without_a_list_the_folders_are_scanned(scenes: Path) -> None:
    source = load_source(f"nyu:{scenes}")
    assert ids(source) == [
        "sync/kitchen_0001/rgb_00000.jpg", "sync/kitchen_0001/rgb_00001.jpg", "sync/office_0002/rgb_00000.jpg",
    ]
    assert ids(load_source(f"nyu:{scenes},split=test")) == ["official_splits/test/bathroom/rgb_00000.jpg"]
    assert len(load_source(f"nyu:{scenes}/sync")) == 3
    assert len(load_source(f"nyu:{scenes}/sync/kitchen_0001,start=1")) == 1


def test_wrong_roots_and_lists(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.txt"):
        load_source(f"nyu:{scenes},list=no.txt")
    with pytest.raises(DataError, match="does not exist"):
        load_source(f"nyu:{scenes}/nowhere")
    (scenes / "empty").mkdir()
    with pytest.raises(DataError, match="no list"):
        load_source(f"nyu:{scenes}/empty")
    (scenes / "far.txt").write_text(LINE.format("cellar", 0))
    with pytest.raises(DataError, match=r"none of the images .*/cellar/rgb_00000\.jpg"):
        load_source(f"nyu:{scenes},list=far.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "names no image"), ("a b c d", "line 1 has 4 words"), ("a b\na b x", "line 2 has focal length 'x'")],
)
def test_broken_lists_name_their_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        read_list(tmp_path / "list.txt")


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00\x89PNG")
    with pytest.raises(DataError, match="is not text"):
        read_list(tmp_path / "list.txt")


def test_check_names_missing_and_repeated_lines(scenes: Path) -> None:
    rows = [LINE.format("kitchen_0001", 0)] * 2 + [LINE.format("kitchen_0001", i) for i in range(20, 50)]
    (scenes / "list.txt").write_text("\n".join(rows))
    findings = load_source(f"nyu:{scenes},list=list.txt").check()
    errors = [finding.message for finding in findings if finding.level == "error"]
    assert any("rgb_00020.jpg' does not exist" in message for message in errors)
    assert any(message.startswith("50 more files like") for message in errors)
    assert any(f.level == "warning" and "named more than once" in f.message for f in findings)


def test_a_depth_of_another_unit_is_suspicious(scenes: Path) -> None:
    findings = load_source(f"nyu:{scenes},scale=50").check()
    assert [finding.level for finding in findings if "usual 0.1 to 10 m" in finding.message] == ["warning"]


def test_real_pairs(shared: Path) -> None:
    source = load_source(f"nyu:{shared}/data/nyu_depth_v2")
    report = survey(source)
    assert report.n == 2 and not report.findings
    assert report.depth is not None and report.depth["holes"] == pytest.approx(0.26, abs=0.01)
    intrinsics = source[0].intrinsics
    assert intrinsics is not None and intrinsics[0].item() == pytest.approx(518.8579)
    assert intrinsics[2].item() == pytest.approx(325.58, abs=0.01)


@pytest.mark.parametrize(("split", "n"), [("train", 24231), ("test", 654)])
def test_real_lists(shared: Path, split: str, n: int) -> None:
    lines = read_list(shared / f"data/splits/adabins_bts/nyudepthv2_{split}_files_with_gt.txt")
    assert len(lines) == n and all(line.depth is not None and line.focal == 518.8579 for line in lines)
