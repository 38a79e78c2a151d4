"""``rgbd:`` finds colour and depth in the layouts that recorders and benchmarks write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdcli.errors import DataError
from kdcli.protocols import Source
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.matching import match_times


def metres(source: Any) -> dict[str, float]:
    return {s.id: round(s.depth[s.valid].mean().item(), 4) for s in map(source.__getitem__, range(len(source)))}


@pytest.mark.parametrize("colour", ["rgb", "color", "Color", "images"])
def test_parallel_folders(tmp_path: Path, photo: Any, depth16: Any, colour: str) -> None:
    for i in (1, 10, 9):
        photo(tmp_path / colour / f"{i}.jpg", seed=i)
        depth16(tmp_path / "depth" / f"{i}.png", value=1000 + i)
    photo(tmp_path / colour / "77.jpg")
    source = load_source(f"rgbd:{tmp_path}")
    assert isinstance(source, Source) and source.name == "rgbd"
    assert metres(source) == {f"{colour}/1.jpg": 1.001, f"{colour}/9.jpg": 1.009, f"{colour}/10.jpg": 1.01}
    assert metres(load_source(f"rgbd:{tmp_path},scale=500,count=1")) == {f"{colour}/1.jpg": 2.002}


@pytest.mark.parametrize("name", ["frame-1.{}.png", "{}_1.png", "1-{}.png", "shot.{}.1.png", "NYU_{}.png"])
def test_files_side_by_side(tmp_path: Path, photo: Any, depth16: Any, name: str) -> None:
    photo(tmp_path / name.format("color"))
    depth16(tmp_path / name.format("depth"))
    photo(tmp_path / "discolored.png")
    (tmp_path / "camera-intrinsics.txt").write_text("500 0 7.5\n0 501 5.5\n0 0 1\n")
    source = load_source(f"rgbd:{tmp_path}")
    assert metres(source) == {name.format("color"): 2.0}
    intrinsics = source[0].intrinsics
    assert intrinsics is not None and intrinsics.tolist() == [500, 501, 7.5, 5.5]


def test_scenes_below(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for scene in ("seq-01", "seq-02"):
        photo(tmp_path / "kitchen" / scene / "frame-000000.color.png")
        depth16(tmp_path / "kitchen" / scene / "frame-000000.depth.png")
    (tmp_path / "kitchen" / "intrinsics.txt").write_text("5, 0, 7\n0, 6, 8\n0, 0, 1\n")
    source = load_source(f"rgbd:{tmp_path}")
    assert list(metres(source)) == [f"kitchen/seq-0{i}/frame-000000.color.png" for i in (1, 2)]
    assert source[1].intrinsics is not None and source[1].intrinsics.tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("swapped", [False, True])
def test_associations_in_either_order(tmp_path: Path, photo: Any, depth16: Any, swapped: bool) -> None:
    photo(tmp_path / "rgb" / "a.png")
    depth16(tmp_path / "depth" / "b.png", value=5000)
    halves = ["1.0 rgb/a.png", "1.01 depth/b.png"]
    (tmp_path / "associations.txt").write_text("# comment\n\n" + " ".join(halves[::-1] if swapped else halves) + "\r\n")
    assert metres(load_source(f"rgbd:{tmp_path}")) == {"rgb/a.png": 1.0}
    assert metres(load_source(f"rgbd:{tmp_path},scale=1000")) == {"rgb/a.png": 5.0}


def test_time_stamps_within_a_fiftieth(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for name in ("1.00", "1.03", "2.00"):
        photo(tmp_path / "rgb" / f"{name}.png")
    for i, name in enumerate(("1.02", "1.031", "2.5"), 1):
        depth16(tmp_path / "depth" / f"{name}.png", value=5000 * i)
    expected = {"rgb/1.00.png": 1.0, "rgb/1.03.png": 2.0}
    assert metres(load_source(f"rgbd:{tmp_path}")) == expected
    for folder in ("rgb", "depth"):
        rows = [f"{path.stem} {folder}/{path.name}" for path in (tmp_path / folder).iterdir()]
        (tmp_path / f"{folder}.txt").write_text("# timestamp filename\n" + "\n".join(sorted(rows)))
    assert metres(load_source(f"rgbd:{tmp_path}")) == expected


def test_nearest_times_are_taken_once() -> None:
    assert match_times([0.0, 0.01], [0.009]) == [(1, 0)]
    assert match_times([0.0, 1.0], [1.015, 0.015]) == [(0, 1), (1, 0)]
    assert match_times([0.0], [0.021]) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"associations.txt": "1.0 rgb/a.png 1.0"}, "line 1 has 3 words"),
        ({"rgb.txt": "x rgb/a.png", "depth.txt": "1 depth/a.png"}, "line 1 is 'x rgb/a.png'"),
        ({"rgb.txt": "1 rgb/a.png", "depth.txt": "2 depth/a.png"}, "no time stamps within 0.02 s"),
        ({"notes.txt": "hello"}, "no colour with depth"),
    ],
)
def test_what_cannot_be_paired_is_explained(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        load_source(f"rgbd:{tmp_path}")
    with pytest.raises(DataError, match="does not exist"):
        load_source(f"rgbd:{tmp_path}/nowhere")


def test_broken_intrinsics_are_named(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "a.color.png")
    depth16(tmp_path / "a.depth.png")
    (tmp_path / "camera-intrinsics.txt").write_text("focal 12")
    with pytest.raises(DataError, match=r"camera-intrinsics\.txt' is not a 3 x 3 matrix"):
        load_source(f"rgbd:{tmp_path}")


def test_files_that_an_association_names_but_are_gone(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "rgb" / "a.png")
    (tmp_path / "associations.txt").write_text("1 rgb/a.png 1 depth/a.png\n")
    source = load_source(f"rgbd:{tmp_path}")
    with pytest.raises(DataError, match=r"depth/a\.png' does not exist"):
        source[0]
    assert [(f.level, f.path) for f in source.check()] == [("error", f"{tmp_path}/depth/a.png")]


@pytest.mark.parametrize(
    ("spec", "n", "median", "holes"),
    [
        ("slambook_rgbd_pgm/rgbd", 3, 2.99, 0.296),
        ("tum_rgbd/slambook_ch7", 2, 1.54, 0.339),
        ("icl_nuim/dense_RGBD/data,scale=5000", 3, 2.417, 0.0),
        ("redwood_rgbd/RGBD", 3, 1.861, 0.129),
        ("7scenes_redkitchen/data,count=6", 6, 1.88, 0.106),
    ],
)
def test_real_layouts(shared: Path, spec: str, n: int, median: float, holes: float) -> None:
    source = load_source(f"rgbd:{shared}/data/{spec}")
    report = survey(source)
    assert report.n == n and not report.findings and report.sizes == {"480x640": n}
    assert report.depth is not None
    assert report.depth["median"] == pytest.approx(median, abs=0.03)
    assert report.depth["holes"] == pytest.approx(holes, abs=0.01)


def test_real_seven_scenes_as_a_whole(shared: Path) -> None:
    source = load_source(f"rgbd:{shared}/data/7scenes_redkitchen/data,scale=1000")
    assert len(source) == 188 and source[187].id == "frame-000748.color.jpg"
    assert source[0].intrinsics is not None and source[0].intrinsics.tolist() == [585, 585, 320, 240]
    held_out = load_source(f"rgbd:{shared}/data/7scenes_redkitchen/data,start=150")
    assert len(held_out) == 38 and held_out[0].id == source[150].id


def test_swapped_bytes_are_put_right_and_mentioned(shared: Path) -> None:
    (finding,) = load_source(f"rgbd:{shared}/data/nyu_raw_kinect").check()
    assert finding.level == "info" and "wrong order" in finding.message


def test_real_wrong_and_rotated_scales(shared: Path) -> None:
    wrong = load_source(f"rgbd:{shared}/data/7scenes_redkitchen/data,scale=1,count=2").check()
    assert "plausible with scale=1000" in wrong[0].message
    rotated = load_source(f"rgbd:{shared}/data/sunrgbd")
    assert "plausible with scale=8000" in rotated.check()[0].message
    right = survey(load_source(f"rgbd:{shared}/data/sunrgbd,scale=8000"))
    assert right.depth is not None and right.depth["median"] == pytest.approx(2.7, abs=0.1) and not right.findings
