"""``folder:`` and what all sources of files share: selection, pairing, checks."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdcli.errors import ConfigError, DataError, PluginError, SpecError
from kdcli.protocols import Source
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.folder import FolderSource
from kdcli.sources.matching import match_names, natural_key
from kdcli.sources.pairs import sizes_fit
from kdcli.types import DepthKind


@pytest.fixture
def photos(tmp_path: Path, photo: Any) -> Path:
    folder = tmp_path / "photos"
    for i in (1, 2, 9, 10, 11, 100):
        photo(folder / f"shot{i}.png", seed=i)
    (folder / "notes.txt").write_text("no image")
    (folder / "._shot1.png").write_text("what macOS leaves behind")
    return folder


def ids(source: Any) -> list[str]:
    return [source[i].id for i in range(len(source))]


def levels(source: Any) -> dict[str, int]:
    found = [finding.level for finding in survey(source).findings]
    return {level: found.count(level) for level in set(found)}


def test_a_folder_in_natural_order(photos: Path) -> None:
    source = load_source(f"folder:{photos}")
    assert isinstance(source, Source) and source.name == "folder" and source.depth_kind is None
    assert ids(source) == [f"shot{i}.png" for i in (1, 2, 9, 10, 11, 100)]
    sample = source[0]
    assert sample.image.shape == (3, 12, 16) and sample.depth is None and sample.valid is None
    assert list(source.check()) == []
    with pytest.raises(IndexError):
        source[6]


def test_selection(photos: Path) -> None:
    def chosen(options: str) -> list[int]:
        return [int(name[4:-4]) for name in ids(load_source(f"folder:{photos},{options}"))]

    assert chosen("start=2") == [9, 10, 11, 100]
    assert chosen("stop=2") == [1, 2]
    assert chosen("start=1,stop=5,every=2") == [2, 10]
    assert chosen("count=2") == [1, 2]
    assert chosen("start=-2") == [11, 100]
    drawn = [chosen(f"count=3,seed={seed}") for seed in range(4)]
    assert chosen("count=3,seed=1") == drawn[1] and len({tuple(d) for d in drawn}) > 1
    assert all(d == sorted(d) and len(d) == 3 for d in drawn)
    assert chosen("start=3,count=2,seed=5") != [] and min(chosen("start=3,count=2,seed=5")) >= 10


@pytest.mark.parametrize("options", ["start=6", "every=0", "count=0", "stop=0", "scale=0", "scale=-1", "scale=nan"])
def test_senseless_options_are_refused(photos: Path, options: str) -> None:
    with pytest.raises(ConfigError, match=options.split("=")[0]):
        load_source(f"folder:{photos},{options}")


def test_unknown_key_names_the_nearest(photos: Path) -> None:
    with pytest.raises(SpecError, match="recursive"):
        load_source(f"folder:{photos},recursiv=true")


def test_patterns_single_files_and_subfolders(photos: Path, photo: Any) -> None:
    photo(photos / "deep" / "er" / "a.jpg")
    assert len(load_source(f"folder:{photos}")) == 6
    assert ids(load_source(f"folder:{photos},recursive=true"))[0] == "deep/er/a.jpg"
    assert len(load_source(f"folder:{photos}/shot1*.png")) == 4
    assert ids(load_source(f"folder:{photos}/**/*.jpg")) == ["a.jpg"]
    assert ids(load_source(f"folder:{photos}/shot9.png")) == ["shot9.png"]


def test_missing_empty_and_pointers(tmp_path: Path, photo: Any) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_source(f"folder:{tmp_path}/nowhere")
    with pytest.raises(DataError, match="no images"):
        load_source(f"folder:{tmp_path}/*.png")
    photo(tmp_path / "sub" / "a.png")
    with pytest.raises(DataError, match="recursive=true"):
        load_source(f"folder:{tmp_path}")
    shutil.rmtree(tmp_path / "sub")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match="git lfs pull"):
        load_source(f"folder:{tmp_path}")
    photo(tmp_path / "c.png")
    source = load_source(f"folder:{tmp_path}")
    assert [finding.level for finding in source.check()] == ["error", "error"]


def test_depth_from_a_parallel_folder(photos: Path, depth16: Any) -> None:
    for i in (1, 2, 9):
        depth16(photos / "depth" / f"shot{i}.png", value=1000 * i)
    source = load_source(f"folder:{photos},depths=depth,recursive=true")
    assert len(source) == 6 and source.depth_kind is DepthKind.METRIC
    assert [None if s.depth is None else s.depth.mean().item() for s in map(source.__getitem__, range(6))] == [
        1.0, 2.0, 9.0, None, None, None,
    ]
    assert levels(source) == {"info": 1}
    assert load_source(f"folder:{photos},depths={photos}/depth,scale=500")[0].depth.mean() == 2.0


def test_depth_folder_that_does_not_fit(photos: Path, depth16: Any) -> None:
    with pytest.raises(DataError, match="depth folder 'nope'"):
        load_source(f"folder:{photos},depths=nope")
    depth16(photos / "depth" / "other.png")
    with pytest.raises(DataError, match=r"named like an image \('shot1'\)"):
        load_source(f"folder:{photos},depths=depth")


def test_names_match_as_numbers_or_last_parts() -> None:
    a, b = Path("a"), Path("b")
    assert match_names({"000005": a}, {"5": b}) == {"000005": b}
    assert match_names({"rgb/x": a}, {"dep/x": b}) == {"rgb/x": b}
    assert match_names({"x": a, "y": a}, {"x": b, "2": a}) == {"x": b}
    assert match_names({"rgb/x": a}, {"d/x": a, "e/x": b}) == {}
    assert sorted(["f10", "f9", "f", "10", "9"], key=natural_key) == ["9", "10", "f", "f9", "f10"]


@pytest.mark.parametrize(
    ("image", "depth", "fits"),
    [
        ((375, 1242), (375, 1242), True),
        ((375, 1242), (376, 1241), False),
        ((48, 48), (8, 8), True),
        ((480, 640), (240, 320), True),
        ((375, 1242), (188, 621), True),
        ((968, 1296), (480, 640), True),
        ((480, 640), (960, 1280), True),
        ((480, 640), (640, 480), False),
        ((480, 640), (240, 240), False),
        ((480, 640), (228, 304), True),
        ((480, 640), (470, 627), False),
    ],
)
def test_which_sizes_belong_together(image: tuple[int, int], depth: tuple[int, int], fits: bool) -> None:
    assert sizes_fit(image, depth) is fits


def test_mismatch_names_both_files(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "i" / "a.png", 375, 1242)
    depth16(tmp_path / "d" / "a.png", 500, 376, 1241)
    source = load_source(f"folder:{tmp_path}/i,depths={tmp_path}/d,scale=256")
    with pytest.raises(DataError, match=r"i/a\.png' is 1242x375 .* '.*d/a\.png' is 1241x376"):
        source[0]
    assert [finding.level for finding in source.check()] == ["error"]


def test_check_says_what_is_wrong(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for i in range(4):
        photo(tmp_path / "i" / f"{i}.png", seed=i)
        depth16(tmp_path / "d" / f"{i}.png", value=0 if i == 1 else 3000)
    shutil.copy(tmp_path / "i" / "0.png", tmp_path / "i" / "4.png")
    broken = tmp_path / "i" / "2.png"
    broken.write_bytes(broken.read_bytes()[:300])
    report = survey(load_source(f"folder:{tmp_path}/i,depths={tmp_path}/d"))
    said = {finding.level + " " + finding.message for finding in report.findings}
    assert any(s.startswith("error") and "2.png' is truncated" in s for s in said)
    assert any(s.startswith("warning") and "d/1.png' has no valid pixel" in s for s in said)
    assert any(s.startswith("warning 1 image is the same as others") for s in said)
    assert any(s.startswith("info 1 of 5 images have no ground truth") for s in said)
    assert report.n == 5 and report.read == 4 and report.errors == 1 and report.sizes == {"12x16": 4}
    assert report.depth == {"min": 3.0, "median": 3.0, "max": 3.0, "holes": pytest.approx(1 / 3)}


def test_a_wrong_scale_beside_a_broken_file(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for name in "ab":
        photo(tmp_path / "i" / f"{name}.png", seed=ord(name))
        depth16(tmp_path / "d" / f"{name}.png", value=3)
    (tmp_path / "d" / "a.png").write_bytes(b"")
    findings = load_source(f"folder:{tmp_path}/i,depths={tmp_path}/d").check()
    said = [(f.level, f.path) for f in findings]
    assert said == [("error", f"{tmp_path}/d/a.png"), ("warning", f"{tmp_path}/d/b.png")]


def test_a_link_to_nowhere_is_missing(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "b.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    assert [f.level for f in load_source(f"folder:{tmp_path}").check()] == ["error"]


def test_many_copies_are_hashed_within_reason(tmp_path: Path, photo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdcli.sources.checks.paths._HASHED", 3)
    for i in range(6):
        photo(tmp_path / f"{i}.bmp")
    (finding,) = load_source(f"folder:{tmp_path}").check()
    assert finding.message.startswith("2 images are the same as others")


def test_nothing_but_holes_is_an_error(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "i" / "a.png")
    depth16(tmp_path / "d" / "a.png", value=65535)
    report = survey(load_source(f"folder:{tmp_path}/i,depths={tmp_path}/d"))
    assert report.errors == 1 and report.depth is None and "valid pixel" in report.findings[0].message


@pytest.mark.parametrize(
    ("value", "used", "named"), [(2000, 1, "scale=1000"), (3000, 1000000, "scale=1000"), (12000, 1, "scale=5000")]
)
def test_a_wrong_scale_is_named_with_the_likely_one(
    tmp_path: Path, photo: Any, depth16: Any, value: int, used: int, named: str
) -> None:
    photo(tmp_path / "i" / "a.png")
    depth16(tmp_path / "d" / "a.png", value=value + 1)
    findings = load_source(f"folder:{tmp_path}/i,depths={tmp_path}/d,scale={used}").check()
    assert [finding.level for finding in findings] == ["warning"]
    assert named in findings[0].message and findings[0].path == f"{tmp_path}/d/a.png"


def test_metres_in_npy_read_as_millimetres(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "i" / "a.png")
    (tmp_path / "d").mkdir()
    np.save(tmp_path / "d" / "a.npy", np.full((12, 16), 2.5, np.float32))
    assert load_source(f"folder:{tmp_path}/i,depths={tmp_path}/d")[0].depth.mean() == 2.5
    findings = load_source(f"folder:{tmp_path}/i,depths={tmp_path}/d,scale=1000").check()
    assert "scale=1 (median 2.5 m)" in findings[0].message


def test_survey_decodes_an_even_sample(photos: Path) -> None:
    seen = []
    report = survey(load_source(f"folder:{photos}"), limit=2, tick=lambda done, total: seen.append((done, total)))
    assert report.n == 6 and report.read == 2 and seen == [(1, 2), (2, 2)]
    assert survey(load_source(f"folder:{photos}"), limit=None).read == 6


def test_workers_can_have_it(photos: Path) -> None:
    source = pickle.loads(pickle.dumps(FolderSource(location=str(photos))))
    assert torch.equal(source[3].image, load_source(f"folder:{photos}")[3].image)


def test_what_is_no_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdcli.plugins.registry.build", lambda kind, spec: [1, 2])
    with pytest.raises(PluginError, match="list without name, depth_kind, check"):
        load_source("folder:x")


def test_real_photos_of_two_sizes(shared: Path) -> None:
    source = load_source(f"folder:{shared}/data/kitti_unlabelled_rgb")
    assert survey(source).sizes == {"375x1242": 3, "370x1226": 1} and levels(source) == {"info": 1}


def test_real_time_of_flight_depth_smaller_than_the_image(shared: Path) -> None:
    root = shared / "data/micro_sec_mde/train"
    report = survey(load_source(f"folder:{root}/img,depths={root}/depth"))
    assert report.n == 24 and report.errors == 0
    assert report.depth is not None and 0 < report.depth["min"] < report.depth["max"] < 10
    assert report.depth["holes"] == pytest.approx(0.44, abs=0.01)


def test_real_pointer_and_mismatch(shared: Path) -> None:
    bad = shared / "data/bad_inputs"
    with pytest.raises(DataError, match="git lfs pull"):
        load_source(f"folder:{bad}/git_lfs_pointer/image_02/data")
    pair = bad / "rgb_gt_mismatch/dataset"
    with pytest.raises(DataError, match=r"1242x375 .* 1241x376"):
        load_source(f"folder:{pair}/images,depths={pair}/depth_maps,scale=256")[0]
