"""``scannet:`` pairs frames by number, and reads ``.sens`` files by frame."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trees_scannet import CAMERA, COLOUR, depth_of, frames, jpeg, sens

from kdcli.errors import ConfigError, DataError
from kdcli.images import read_image
from kdcli.sources.checks import survey
from kdcli.sources.sets.scannet import ScanNetSource
from kdcli.testing import check_source


def source(root: Path, **options: Any) -> ScanNetSource:
    return ScanNetSource(location=str(root), **options)


@pytest.mark.parametrize("name", ["{}", "{:06}"])
def test_exported_frames_in_the_order_of_their_numbers(tmp_path: Path, name: str) -> None:
    depths = frames(tmp_path / "scene0000_00", [2, 10, 100], name)
    made = source(tmp_path)
    assert [pair.id for pair in made.pairs] == ["scene0000_00/2", "scene0000_00/10", "scene0000_00/100"]
    for sample, truth in zip(made, depths.values(), strict=True):
        assert sample.image.shape == (3, *COLOUR) and sample.depth is not None and sample.valid is not None
        np.testing.assert_allclose(sample.depth[0].numpy(), truth, rtol=1e-6)
        assert not sample.valid[0, 0].any() and sample.valid[0, 1:].all()
        assert sample.instances is not None and sample.instances.shape == COLOUR
    assert sorted(np.unique(made[0].instances)) == [0, 3]


def test_pairs_are_of_one_number_and_not_of_one_place(tmp_path: Path) -> None:
    scene = tmp_path / "scene0000_00"
    frames(scene, [1, 2, 3])
    (scene / "depth" / "1.png").unlink()
    (scene / "color" / "3.jpg").unlink()
    (scene / "color" / "2.jpg").rename(scene / "color" / "000002.jpg")
    made = source(tmp_path)
    assert [pair.id for pair in made.pairs] == ["scene0000_00/2"] and made[0].depth is not None
    assert made[0].depth[0, 1, 1] == pytest.approx(depth_of(2)[1, 1] / 1000)
    said = [finding.message for finding in made.check()]
    assert any("1 image has no depth map" in text and "1.jpg" in text for text in said)
    assert any("1 depth map has no image" in text and "3.png" in text for text in said)


def test_the_camera_is_that_of_the_colour_images_at_their_size(tmp_path: Path) -> None:
    scene = tmp_path / "scene0000_00"
    frames(scene, [0])
    across, down = COLOUR[1] / 1296, COLOUR[0] / 968
    wanted = (CAMERA[0] * across, CAMERA[1] * down, (CAMERA[2] + 0.5) * across - 0.5, (CAMERA[3] + 0.5) * down - 0.5)
    assert source(tmp_path)[0].intrinsics.tolist() == pytest.approx(wanted)  # type: ignore[union-attr]
    assert source(tmp_path).camera(source(tmp_path).pairs[0], 968, 1296) == pytest.approx(CAMERA)
    # A file that is of the small images already stays as it is.
    (scene / "intrinsic" / "intrinsic_color.txt").write_text("70 0 40 0\n0 71 30 0\n0 0 1 0\n0 0 0 1\n")
    assert source(tmp_path)[0].intrinsics.tolist() == [70, 71, 40, 30]  # type: ignore[union-attr]


def test_lists_of_scenes(tmp_path: Path) -> None:
    for scene in ("scene0000_00", "scene0001_00", "scene0002_00"):
        frames(tmp_path / "scans" / scene, [0])
    (tmp_path / "scannetv2_val.txt").write_text("scene0002_00\nscene0000_00\nscene0707_00\n")
    made = source(tmp_path, split="val")
    assert [pair.id for pair in made.pairs] == ["scene0002_00/0", "scene0000_00/0"]
    assert any("1 of 3 scenes" in f.message and "scene0707_00" in f.message for f in made.check())
    (tmp_path / "mine.txt").write_text("scene0001_00\n")
    assert [pair.id for pair in source(tmp_path, list="mine.txt").pairs] == ["scene0001_00/0"]
    with pytest.raises(DataError, match=r"scannetv2_train\.txt"):
        source(tmp_path, split="train")
    (tmp_path / "mine.txt").write_text("scene0009_00\n")
    with pytest.raises(DataError, match="none of the 1 scenes"):
        source(tmp_path, list="mine.txt")


@pytest.mark.parametrize("depth", [0, 1])
def test_a_sens_file_frame_by_frame(tmp_path: Path, depth: int) -> None:
    scene = tmp_path / "scene0000_00"
    depths = sens(scene / "scene0000_00.sens", 12, depth=depth, shift=4000)
    made = source(tmp_path, start=1, every=2)
    assert [pair.id for pair in made.pairs][:2] == ["scene0000_00/1", "scene0000_00/3"] and len(made) == 6
    for index, number in ((5, 11), (0, 1), (3, 7)):  # in any order
        sample = made[index]
        assert sample.depth is not None
        np.testing.assert_allclose(sample.depth[0].numpy(), depths[number], rtol=1e-6)
        (tmp_path / "a.jpg").write_bytes(jpeg(number))
        assert (sample.image == read_image(tmp_path / "a.jpg")).all() and sample.instances is None
        assert sample.intrinsics is not None and sample.intrinsics.tolist() == [73, 74, 40, 29.5]
    assert pickle.loads(pickle.dumps(made))[2].id == "scene0000_00/5"
    assert not [f for f in made.check() if f.level != "info"] and survey(made).read == 6


def test_scenes_of_either_form_side_by_side(tmp_path: Path) -> None:
    frames(tmp_path / "scene0000_00", [4, 7])
    sens(tmp_path / "scene0000_00" / "scene0000_00.sens", 9)
    sens(tmp_path / "scene0001_00" / "scene0001_00.sens", 2)
    assert [p.id for p in source(tmp_path).pairs] == [f"scene{i}" for i in ("0000_00/4", "0000_00/7", "0001_00/0",
                                                                          "0001_00/1")]
    assert len(source(tmp_path, form="sens")) == 11 and len(source(tmp_path, form="frames")) == 2
    assert all(sample.depth is not None and sample.instances is not None for sample in source(tmp_path))


def test_object_ids_beside_a_sens_file(tmp_path: Path) -> None:
    scene = tmp_path / "scene0000_00"
    sens(scene / "scene0000_00.sens", 2)
    (scene / "instance-filt").mkdir()
    ids = np.zeros(COLOUR, np.uint8)
    ids[:4, :9] = 7
    Image.fromarray(ids).save(scene / "instance-filt" / "1.png")
    made = source(tmp_path)
    assert [sorted(np.unique(sample.instances)) for sample in made] == [[0], [0, 7]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"version": 3}, "of version 4 (it says 3)"), ({"depth": 2}, "depth packed as occi"),
        ({"colour": 0}, "colour packed as uncompressed pixels"), ({"shift": 0.0}, "0 units per metre"),
    ],
)  # fmt: skip
def test_sens_files_that_are_not_read(tmp_path: Path, options: Any, words: str) -> None:
    sens(tmp_path / "a.sens", **options)
    with pytest.raises(DataError) as error:
        source(tmp_path)
    assert words in str(error.value) and "a.sens" in str(error.value)


def test_a_truncated_sens_file_names_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    sens(path, 4)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    made = source(tmp_path)
    assert made[2].depth is not None and len(made) == 4
    with pytest.raises(DataError, match=r"a\.sens:depth/3\.zlib' is truncated"):
        made[3]
    said = [f.message for f in made.check() if f.level == "error"]
    assert any("ends within frame 3 of 4" in text for text in said)
    path.write_bytes(content[: len(content) // 2])
    made = source(tmp_path)
    assert any("ends within frame 1 of 4" in f.message or "ends within frame 2 of 4" in f.message for f in made.check())
    with pytest.raises(DataError, match=r"color/3\.jpg' is truncated"):
        made[3]
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match="is a Git LFS pointer"):
        source(tmp_path)
    path.write_bytes(content[:200])
    with pytest.raises(DataError, match="ends within its head"):
        source(tmp_path)


def test_damaged_depth_of_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.sens"
    sens(path, 1)
    content = bytearray(path.read_bytes())
    begin = content.index(zlib.compress(depth_of(0).tobytes()))
    content[begin : begin + 8] = b"\0" * 8
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"depth/0\.zlib' is broken"):
        source(tmp_path)[0]


def test_what_cannot_be(tmp_path: Path) -> None:
    scene = tmp_path / "scene0000_00"
    frames(scene, [0, 1])
    with pytest.raises(DataError, match=r"has no SCENE\.sens"):
        source(tmp_path, form="sens")
    with pytest.raises(ConfigError, match="max_depth=0"):
        source(tmp_path, max_depth=0)
    sample = source(tmp_path, max_depth=4)[0]
    assert sample.depth is not None and 0 < sample.depth.max() <= 4
    Image.fromarray(np.full((30, 40), 90, np.uint8)).save(scene / "depth" / "0.png")
    with pytest.raises(DataError, match="has 8 bits"):
        source(tmp_path)[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no color/N"):
        source(tmp_path / "empty")


def test_conformance(tmp_path: Path) -> None:
    frames(tmp_path / "frames" / "scene0000_00", range(3))
    sens(tmp_path / "sens" / "scene0000_00.sens", 3)
    for form in ("frames", "sens"):
        check_source(source(tmp_path / form))
