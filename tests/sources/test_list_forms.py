"""List files in the forms that people write, and numbers in files that cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdcli.errors import DataError
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.texts.lines import split_line
from kdcli.sources.texts.many_lines import read_list


@pytest.fixture
def rooms(tmp_path: Path, photo: Any, depth16: Any) -> Path:
    for i in range(3):
        for image, depth in (
            ("bed/rgb_{}.jpg", "bed/sync_depth_{}.png"), ("my room/rgb {}.jpg", "my room/depth {}.png"),
            ("bed/rgb_{}.jpg", "bed/dense/sync_depth_dense_{}.png"), ("a,b/rgb_{}.jpg", "a,b/depth_{}.png"),
        ):
            photo(tmp_path / image.format(i), seed=i)
            depth16(tmp_path / depth.format(i), value=1000 + i)
        mask = tmp_path / "bed" / f"sync_depth_{i}_mask.npy"
        np.save(mask, np.arange(12)[:, None].repeat(16, 1) >= 3)
    return tmp_path


FORMS = {
    "blanks": "bed/rgb_{0}.jpg bed/sync_depth_{0}.png 518.8",
    "tabs": "my room/rgb {0}.jpg\tmy room/depth {0}.png\t518.8",
    "a tab and blanks": "bed/rgb_{0}.jpg\tbed/sync_depth_{0}.png  518.8",
    "blanks in names": "my room/rgb {0}.jpg my room/depth {0}.png 518.8",
    "commas": "bed/rgb_{0}.jpg,bed/sync_depth_{0}.png,518.8",
    "commas and blanks": "bed/rgb_{0}.jpg, bed/sync_depth_{0}.png, 518.8",
    "commas in names": "a,b/rgb_{0}.jpg a,b/depth_{0}.png 518.8",
    "semicolons": "bed/rgb_{0}.jpg;bed/sync_depth_{0}.png;518.8;",
    "quotes": '"my room/rgb {0}.jpg" "my room/depth {0}.png" 518.8',
    "quotes and commas": "'a,b/rgb_{0}.jpg','a,b/depth_{0}.png',518.8",
    "back-slashes": r"bed\rgb_{0}.jpg bed\sync_depth_{0}.png 518.8",
    "a drive": r"C:\data\bed\rgb_{0}.jpg C:\data\bed\sync_depth_{0}.png 518.8",
    "a leading slash": "/bed/rgb_{0}.jpg /bed/sync_depth_{0}.png 518.8",
    "another machine": "/home/bob/nyu/bed/rgb_{0}.jpg /home/bob/nyu/bed/sync_depth_{0}.png 518.8",
    "absolute": "{1}/bed/rgb_{0}.jpg {1}/bed/sync_depth_{0}.png 518.8",
    "a third file": "bed/rgb_{0}.jpg bed/sync_depth_{0}.png bed/dense/sync_depth_dense_{0}.png 518.8",
    "a comment behind": "bed/rgb_{0}.jpg bed/sync_depth_{0}.png 518.8 # morning",
    "depth first": "bed/sync_depth_{0}.png bed/rgb_{0}.jpg 518.8",
    "another ending": "bed/rgb_{0}.png bed/sync_depth_{0}.png 518.8",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_each_form_is_read(rooms: Path, form: str, coding: str) -> None:
    rows = [FORMS[form].format(i, rooms) for i in range(3)]
    (rooms / "l.txt").write_bytes(("# rooms\r\n\r\n" + "\r\n".join(rows) + "\r\n\x1a").encode(coding))
    source = load_source(f"nyu:{rooms},list=l.txt")
    samples = [source[i] for i in range(len(source))]
    assert [round(s.depth.mean().item(), 3) for s in samples if s.depth is not None] == [1, 1.001, 1.002]
    assert all(s.intrinsics is not None and abs(s.intrinsics[0].item() - 518.8) < 1e-3 for s in samples)
    told = [f.message for f in source.check()]
    assert [m for m in told if "further files" in m] == [m for m in told if form == "a third file"]
    assert any("absolute paths" in m for m in told) == (form in ("a drive", "another machine"))


def test_forms_may_change_from_line_to_line(rooms: Path) -> None:
    forms = enumerate(("tabs", "commas", "quotes"))
    (rooms / "l.txt").write_text("\n".join(FORMS[form].format(i, rooms) for i, form in forms))
    source: Any = load_source(f"nyu:{rooms},list=l.txt")
    assert [round(source[i].depth.mean().item(), 3) for i in range(3)] == [1, 1.001, 1.002]


def test_files_of_one_folder_may_lie_below_several_roots(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for base, i in (("sync", 0), ("official_splits/train", 1)):
        photo(tmp_path / base / "bed" / f"rgb_{i}.jpg", seed=i)
    for base, i in (("sync", 1), ("official_splits/test", 0)):
        depth16(tmp_path / base / "bed" / f"sync_depth_{i}.png", value=1000 + i)
    (tmp_path / "l.txt").write_text("".join(f"bed/rgb_{i}.jpg bed/sync_depth_{i}.png\n" for i in range(2)))
    source: Any = load_source(f"nyu:{tmp_path},list=l.txt")
    assert [round(source[i].depth.mean().item(), 3) for i in range(2)] == [1, 1.001]


def test_paths_of_another_machine_must_not_mean_one_file(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for scene in ("bed", "den"):
        photo(tmp_path / scene / "rgb" / "0.png")
        depth16(tmp_path / scene / "depth" / "0.png", 1.5)
    rows = "".join(f"/mnt/rooms/{scene}/rgb/0.png /mnt/rooms/{scene}/depth/0.png\n" for scene in ("bed", "den", "den"))
    (tmp_path / "l.txt").write_text(rows)
    found = [str(pair.image) for pair in load_source(f"nyu:{tmp_path},list=l.txt").pairs]  # type: ignore[attr-defined]
    assert found == [str(tmp_path / scene / "rgb" / "0.png") for scene in ("bed", "den", "den")]
    with pytest.raises(DataError, match=r"by its last parts it would be '.*bed/rgb/0\.png', which is '/mnt/rooms/bed/"):
        load_source(f"nyu:{tmp_path / 'bed'},list={tmp_path / 'l.txt'}")


def test_a_mask_in_the_third_column(rooms: Path) -> None:
    (rooms / "l.txt").write_text("bed/rgb_0.jpg bed/sync_depth_0.png bed/sync_depth_0_mask.npy 500\n")
    report = survey(load_source(f"nyu:{rooms},list=l.txt"))
    assert report.depth is not None and report.depth["holes"] == 0.25 and not report.findings


def test_columns_by_name(rooms: Path) -> None:
    rows = ("img,depth,disp,fb,focal", "bed/rgb_1.jpg,bed/sync_depth_1.png,x/1.npy,y/1.npy,500", "bed/rgb_2.jpg,,,,")
    (rooms / "l.csv").write_text("\n".join(rows))
    first, second = read_list(rooms / "l.csv")
    assert (first.depth, first.focal, first.others) == ("bed/sync_depth_1.png", 500.0, ("x/1.npy", "y/1.npy"))
    assert (second.image, second.depth, second.focal) == ("bed/rgb_2.jpg", None, None)


def test_each_raw_image_may_be_jpg_or_png(tmp_path: Path, photo: Any) -> None:
    day = "2011_09_26/2011_09_26_drive_0001_sync/image_02/data"
    photo(tmp_path / day / "0000000000.png")
    photo(tmp_path / day / "0000000001.jpg")
    (tmp_path / "l.txt").write_text("".join(f"{day}/000000000{i}.png None 700\n" for i in range(2)))
    source = load_source(f"kitti:{tmp_path},list=l.txt")
    assert [source[i].id[-5:] for i in range(2)] == ["0.png", "1.png"] and source.check() == []


@pytest.mark.parametrize("focal", ["nan", "inf", "-1", "0", "0.9", "1e9"])
def test_focal_lengths_that_cannot_be(rooms: Path, focal: str) -> None:
    rows = ("bed/rgb_0.jpg bed/sync_depth_0.png 500", f"bed/rgb_1.jpg bed/sync_depth_1.png {focal}")
    (rooms / "l.txt").write_text("\n".join(rows))
    with pytest.raises(DataError, match=r"l\.txt' line 2 has focal length .* finite number of 1 to 1e\+06"):
        load_source(f"nyu:{rooms},list=l.txt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.jpg d.png 500 500 320 240", "line 1 has 6 words"),
        ("my room/a.jpg d.png large", "names with blanks in quotes"),
        ("image,depth\na.jpg,d.png,5", "line 2 has 3 fields, its first line names 2"),
        ("a\0b.jpg d.png", "is not text"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer, not the file"),
        ("a.jpg d.png\na.jpg " + "d" * 400 + ".png", r"line 2 has a name of 404 letters, 'dddd"),
    ],
)
def test_other_forms_name_their_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        read_list(tmp_path / "l.txt")


def test_fields_of_a_line() -> None:
    assert split_line("bob's room/a.jpg d.png") == ["bob's room/a.jpg", "d.png"]
    assert split_line("#a.jpg") == [] and split_line("  ") == []
    assert split_line("a b c") == ["a", "b", "c"]
    assert split_line("a.jpg,,518.8") == ["a.jpg", "", "518.8"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nan 0 7\n0 501 5\n0 0 1", "line 1 has the number nan"),
        ("500 0 7\n0 -3 5\n0 0 1", "line 1 has focal length -3"),
        ("0.8 0 0.5\n0 1.1 0.5\n0 0 1", "line 1 has focal length 0.8"),
        ("500 0 1e300\n0 501 5\n0 0 1", "line 1 has the number 1e"),
        ("500 0\n0 500", "not a 3 x 3 matrix"),
    ],
)
def test_cameras_that_cannot_be(tmp_path: Path, photo: Any, depth16: Any, text: str, words: str) -> None:
    photo(tmp_path / "a.color.png")
    depth16(tmp_path / "a.depth.png")
    (tmp_path / "intrinsics.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        load_source(f"rgbd:{tmp_path}")
    (tmp_path / "intrinsics.txt").write_text("# fx\n500 0 7.5 0 501 5.5 0 0 1\n")
    camera = load_source(f"rgbd:{tmp_path}")[0].intrinsics
    assert camera is not None and camera.tolist() == [500, 501, 7.5, 5.5]


@pytest.mark.parametrize("row", ["P_rect_02: nan 0 7 0 0 5 5 0 0 0 1 0", "S_rect_02: 0 12", "S_rect_02: inf 12"])
def test_calibrations_that_cannot_be(tmp_path: Path, photo: Any, row: str) -> None:
    day = tmp_path / "2011_09_26"
    photo(day / "2011_09_26_drive_0001_sync" / "image_02" / "data" / "0000000000.png")
    (day / "calib_cam_to_cam.txt").write_text(f"calib_time: 09-Jan-2012 13:57:47\n{row}\n")
    with pytest.raises(DataError, match=r"calib_cam_to_cam\.txt' line 2 has"):
        load_source(f"kitti:{tmp_path}")[0]


@pytest.mark.parametrize(
    ("name", "text"), [("associations.txt", "inf rgb/a.png 1 depth/a.png"), ("rgb.txt", "nan rgb/a.png")]
)
def test_times_that_cannot_be(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "depth.txt").write_text("1 depth/a.png")
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="line 1"):
        load_source(f"rgbd:{tmp_path}")


def test_associations_with_commas_quotes_and_back_slashes(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "my rgb" / "a.png")
    depth16(tmp_path / "depth" / "b.png", value=5000)
    (tmp_path / "associations.txt").write_text('\ufeff1.0,"my rgb\\a.png",1.01,depth\\b.png\r\n', encoding="utf-8")
    sample = load_source(f"rgbd:{tmp_path}")[0]
    assert sample.depth is not None and sample.depth.mean() == 1.0


@pytest.mark.parametrize(
    ("key", "value"), [("height", -1), ("width", 1e300), ("height", 2.5), ("width", "wide"), ("height", 10**9)]
)
def test_coco_sizes_that_cannot_be(tmp_path: Path, photo: Any, key: str, value: object) -> None:
    photo(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "height": 12, "width": 16} | {key: value}
    (tmp_path / "c.json").write_text(json.dumps({"images": [image], "annotations": []}))
    with pytest.raises(DataError, match=f"gives 'a.png' the {key} "):
        load_source(f"folder:{tmp_path},coco=c.json")


def test_coco_corners_beyond_any_image_are_broken(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "a.png")
    corners = enumerate((1e30, float("inf"), 9))
    far = [{"id": i, "image_id": 1, "segmentation": [[0, 0, x, 0, 5, 5]]} for i, x in corners]
    image = {"id": 1, "file_name": "sub\\a.png", "height": 12, "width": 16}
    (tmp_path / "c.json").write_text(json.dumps({"images": [image], "annotations": far}))
    source = load_source(f"folder:{tmp_path},coco=c.json")
    assert any("2 annotations are not of COCO's form" in f.message for f in source.check())
    assert source[0].instances is not None and source[0].instances.max() == 1


KINDS = (
    "bed/rgb_{0}.jpg bed/sync_depth_{0}.png {1}", "my room/rgb {0}.jpg\tmy room/depth {0}.png\t{1}", "{0} {0}",
    "bed\\sync_depth_{0}.png bed\\rgb_{0}.jpg", "'a  b_{0}.jpg' d.png m_{0}_mask.npy x_{0}.txt {1}",
    "a_{0}.jpg None {1}", "a  b_{0}.jpg c_{0}.png", "a_{0}.jpg,,{1}", "a_{0}.jpg {1} # {0} of many", "# {0}", "",
    "a_{0}.jpg;b_{0}.npy;",
)  # fmt: skip


@pytest.mark.parametrize("header", ["", "image,depth,mask,focal\n"])
def test_each_line_is_what_it_is_by_itself(tmp_path: Path, header: str) -> None:
    kinds = ("a_{0}.jpg,b_{0}.png,,{1}", "a_{0}.jpg,b_{0}.png,m_{0}.png", "a {0}.jpg,-") if header else KINDS
    rows = [kind.format(f"{i:03d}", 500 + i / 4) for i in range(60) for kind in kinds]
    path, alone = tmp_path / "many.txt", tmp_path / "one.txt"
    path.write_text(header + "\n".join(rows))
    told = {line.number: line for line in read_list(path)}
    for number, row in enumerate(rows, 2 if header else 1):
        if split_line(row):
            alone.write_text(header + row)
            (line,) = read_list(alone)
            assert told.pop(number) == replace(line, number=number), row
    assert not told


def test_a_focal_length_that_cannot_be_is_found_among_many_lines(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    for wrong in ("000.0", "0.5"):
        path.write_text("\n".join(f"a_{i}.jpg b_{i}.png {wrong if i == 7 else f'5{i}{wrong[1:]}'}" for i in range(9)))
        with pytest.raises(DataError, match=f"line 8 has focal length {float(wrong):g}; write a finite number"):
            read_list(path)
