"""Protocols are data: their files, what they may say, and that what stood in results keeps its hash."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evals_doubles import Answers, ListSource, sample

from kdcli.errors import ConfigError
from kdcli.evals.batches import prepare
from kdcli.evals.crops import middle_rows
from kdcli.evals.extras.registry import EXTRAS
from kdcli.evals.protocol import PROTOCOLS, Fit, Protocol, find
from kdcli.evals.runner import evaluate
from kdcli.types import Batch

KEPT = {
    "plain": "e7fce2f2b91bd271", "nyu-eigen": "3c055a929419f6ac", "nyu-hu-crop": "fc0ddf7c20ed2004",
    "kitti-garg": "dfae7d41cab84b3e", "kitti-eigen": "c8ce10e9c70f73c3", "kitti-garg-full": "1577f1dee023ccdf",
    "kitti-eigen-full": "bb8878be7369048a", "fidelity": "acc3760ae31e1c2d", "nyu-eigen+flip": "cc0ef27a69691030",
    "kitti-garg+flip+pixel": "807ff024f243eabb", "plain+median": "03c362976f9a7465",
    "plain+scale-shift": "afbd8a0a856d7a14",
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_hashes_in_results_keep_their_meaning(name: str) -> None:
    assert find(name).hash == KEPT[name]


def test_all_say_what_they_measure_who_uses_them_and_known_extras() -> None:
    for protocol in PROTOCOLS.values():
        assert protocol.measures and protocol.used_by and set(protocol.extras) <= set(EXTRAS), protocol.name


def test_what_is_said_of_a_protocol_is_in_no_hash_and_what_it_does_is() -> None:
    plain = find("plain")
    assert replace(plain, measures="x", used_by="y", extras=("irmse",)).hash == plain.hash
    for field, value in {"fit": Fit(floor=1e-3), "clip_to": (0.6, None), "least": 10, "band": 0.5}.items():
        assert replace(plain, **{field: value}).hash != plain.hash, field
    frame = find("nyu-fastdepth").frame
    assert frame is not None
    for change in ({"then": None}, {"sampling": "smooth"}, {"stretch": True}):
        assert replace(find("nyu-fastdepth"), frame=replace(frame, **change)).hash != find("nyu-fastdepth").hash


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[yard]\nlike = "kitti-garg"\nmax_depth = 40\n')
    mine = find(f"{path}+median")
    assert mine.name == "yard+median" and mine.max_depth == 40.0 and mine.measures == ""
    assert mine.hash == find("kitti-garg+max40+median").hash
    assert mine.modified("none") == find(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[a]\nmax_dept = 3.0\n', "Did you mean 'max_depth'"), ('[a]\nmax_depth = "far"\n', "a number"),
        ('[a]\nalignment = "medain"\n', "Did you mean 'median'"), ('[a]\nlike = "nyu-eign"\n', "'nyu-eigen'"),
        ("[a]\n[b]\n", "holds 2 protocols"), ("", "holds 0 protocols"), ("max_depth = 3.0\n", "stands outside"),
        ("[a]\nframe = { height = 3, width = 4, pate = true }\n", "Did you mean 'paste'"),
        ('["a b"]\n', "cannot be called"), ("[a\n", "is not TOML"),
        ('[a]\ncrop = { rows = [1.0], columns = [0, 1] }', "has 1 entries, not 2"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        find(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        find(str(tmp_path / "none.toml"))


def shown(height: int, width: int) -> Batch:
    depth = torch.arange(float(height * width)).reshape(1, 1, height, width) + 1
    camera = torch.tensor([[100.0, 90.0, (width - 1) / 2, (height - 1) / 2]])
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    return Batch(ids=("a",), image=image, depth=depth, valid=depth > 0, intrinsics=camera)


def test_fastdepth_brings_image_and_truth_to_224_by_nearest_pixel() -> None:
    given = shown(480, 640)
    prepared = prepare(given, find("nyu-fastdepth"))
    assert prepared.batch.image.shape[-2:] == prepared.depth.shape[-2:] == (224, 224)
    assert set(prepared.depth.flatten().tolist()) <= set(given.depth.flatten().tolist())
    assert set(prepared.batch.image.flatten().tolist()) <= set(given.image.flatten().tolist())
    # 250 x 333, its centre 228 x 304 begins at row 11, column 14.
    row, column = divmod(int(prepared.depth[0, 0, 0, 0]) - 1, 640)
    assert (row, column) == (int(11.5 * 480 / 250), int(14.5 * 640 / 333))


def test_a_stretched_frame_shows_everything() -> None:
    prepared = prepare(shown(300, 500), find("nyu-ultralytics"))
    assert prepared.batch.image.shape[-2:] == prepared.depth.shape[-2:] == (640, 640)
    assert prepared.camera is not None
    assert prepared.camera[0].tolist() == pytest.approx([128, 192, 319.5, 319.5])


def test_make3d_keeps_the_published_rows_of_image_and_grid() -> None:
    grid = torch.arange(55.0).view(1, 1, 55, 1)
    assert middle_rows(grid, 0.375).flatten().tolist() == list(range(17, 38))
    image = torch.arange(2272.0).view(1, 1, 2272, 1)
    assert middle_rows(image, 0.375).flatten().tolist() == list(range(710, 1562))


def test_a_box_in_pixels_of_any_size() -> None:
    prepared = prepare(shown(768, 1024), find("zoe-diode-indoor+max999999"))
    assert int(prepared.valid.sum()) == 426 * 560
    assert int(prepare(shown(100, 640), find("zoe-ibims+max999999")).valid.sum()) == (100 - 45) * 560


def test_the_camera_follows_what_is_done_to_the_truth() -> None:
    cut = prepare(shown(375, 1242), find("kitti-garg")).camera
    assert cut is not None and cut[0].tolist() == [100, 90, 620.5 - 13, 187 - 23]
    kept = prepare(shown(375, 1242), find("kitti-garg-full")).camera
    assert kept is not None and kept[0].tolist() == [100, 90, 620.5, 187]


def test_images_with_too_few_pixels_are_left_out() -> None:
    few = torch.zeros(1, 12, 16, dtype=torch.bool)
    few[0, 0, :9] = True
    source = ListSource([sample("whole"), sample("few", valid=few)])
    found = evaluate({"m": Answers(lambda image: image[:, :1] + 1)}, source, Protocol(name="x", least=10))["m"]
    assert found.ids == ("whole",)
    assert found.skipped[0].reason == "9 valid pixels under the protocol, which wants 10"


def test_the_page_names_every_protocol_in_a_line() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    shown = page.split("<!-- protocols:begin -->\n")[1].split("<!-- protocols:end -->")[0].splitlines()
    rows = [f"| `{one.name}` | {one.measures} | {one.used_by} |" for one in PROTOCOLS.values()]
    assert shown == ["| protocol | what it measures | who uses it |", "|---|---|---|", *rows]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("crop = { rows = [-10, 40], columns = [0, 96], of = [64, 96] }", "crop.rows = [-10, 40] is no range"),
        ("crop = { rows = [0, 70], columns = [0, 96], of = [64, 96] }", "crop.rows = [0, 70] is no range of pixels of"),
        ("crop = { rows = [45, 471], columns = [41, 601] }", "crop.rows = [45, 471] is no range of shares"),
        ("crop = { rows = [0, 1], columns = [0.9, 0.1] }", "crop.columns = [0.9, 0.1] is no range of shares"),
        ('crop = { rows = [9, 9], columns = [0, 5], unit = "pixel" }', "crop.rows = [9, 9] is no range of pixels"),
        ("band = 1.5", "band = 1.5 is no share of the rows"),
        ("band = 0", "band = 0 is no share"),
        ("frame = { height = 0, width = 5 }", "frame.height = 0 is no number of pixels"),
        ("frame = { height = 2, width = 3, short_side = 0 }", "frame.short_side = 0"),
        ("frame = { height = 2, width = 3, then = [4, 0] }", "frame.then = 0"),
        ("frame = { height = 2, width = 3, paste = true, short_side = 9 }", "which frame.short_side resizes"),
        ("frame = { height = 2, width = 3, paste = true, then = [4, 4] }", "which frame.then resizes"),
        ("frame = { height = 2, width = 3, stretch = true, short_side = 9 }", "leave out one"),
        ("min_depth = -1", "min_depth = -1 is no depth"),
        ("min_depth = inf\nmax_depth = inf", "min_depth = inf is no depth"),
        ("min_depth = 5.0\nmax_depth = 2.0", "depth from 5 to 2 m is no range"),
        ("max_depth = -inf", "depth from 0.001 to -inf m"),
        ("clip_to = [5.0, 1.0]", "clip_to from 5 to 1 m is no range"),
        ("least = 0", "least = 0 is no number of pixels"),
        ("fit = { floor = 0.0 }", "fit.floor = 0 is not above 0"),
        ("fit = { side = 0 }", "fit.side = 0 is no number of pixels"),
        ('extras = ["irmse", "irmse"]', "extras names 'irmse' twice"),
    ],
)  # fmt: skip
def test_nothing_is_measured_by_nonsense(tmp_path: Path, text: str, part: str) -> None:
    """Numbers that would leave out other pixels than was meant, or end in the library that resizes."""
    path = tmp_path / "mine.toml"
    path.write_text(f"[mine]\n{text}\n")
    with pytest.raises(ConfigError, match=re.escape(part)) as caught:
        find(str(path))
    assert "mine.toml', [mine]: " in str(caught.value) and "\n" not in str(caught.value)
