"""Sintel, TartanAir and MoGe's folders."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import trees_renders as renders
from PIL import Image

from kdcli.errors import ConfigError, DataError
from kdcli.sources.checks import survey
from kdcli.sources.sets.moge import MogeSource
from kdcli.sources.sets.sintel import SintelSource
from kdcli.sources.sets.tartanair import TartanAirSource
from kdcli.types import Sample

SIZE = (12, 40)
METRES = np.linspace(1, 30, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.float32)


def metres(sample: Sample) -> np.ndarray:
    assert sample.depth is not None
    return sample.depth[0].numpy()


def count(sample: Sample) -> int:
    assert sample.valid is not None
    return int(sample.valid.sum())


@pytest.mark.parametrize("half", ["training", "train"])
def test_sintel(tmp_path: Path, half: str) -> None:
    renders.sintel(tmp_path, METRES, half)
    for root in (tmp_path, tmp_path / half):
        source = SintelSource(location=str(root))
        assert len(source) == 2
        for index in (0, 1):
            sample = source[index]
            assert np.array_equal(metres(sample), METRES * (index + 1)) and count(sample) == METRES.size
            assert sample.intrinsics is not None and sample.intrinsics.tolist() == [1120, 1121, 511.5, 217.5]
    assert not survey(source).findings
    clean = SintelSource(location=str(tmp_path), rendering="clean")
    assert not np.array_equal(clean[0].image, SintelSource(location=str(tmp_path))[0].image)
    assert count(SintelSource(location=str(tmp_path), max_depth=20)[0]) == int((METRES <= 20).sum())


def test_the_test_half_of_sintel_has_no_depth(tmp_path: Path) -> None:
    renders.sintel(tmp_path, METRES)
    source = SintelSource(location=str(tmp_path / "test"))
    assert len(source) == 1 and source.depth_kind is None and source[0].intrinsics is None


def test_files_that_are_none_of_sintels(tmp_path: Path) -> None:
    renders.sintel(tmp_path, METRES)
    camera = tmp_path / "training" / "camdata_left" / "alley_1" / "frame_0001.cam"
    camera.write_bytes(struct.pack(">f", 202021.25) + b"0" * 200)
    with pytest.raises(DataError, match=r"frame_0001\.cam' does not begin as Sintel's cameras do"):
        _ = SintelSource(location=str(tmp_path))[0]
    depth = tmp_path / "training" / "depth" / "alley_1" / "frame_0002.dpt"
    depth.write_bytes(depth.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"frame_0002\.dpt' is truncated"):
        _ = SintelSource(location=str(tmp_path))[1]
    with pytest.raises(DataError, match=r"has no training/final/SEQUENCE/frame_NNNN\.png"):
        SintelSource(location=str(tmp_path / "training" / "depth"))


def test_a_real_frame_of_sintel(shared: Path) -> None:
    source = SintelSource(location=str(shared / "data" / "sintel_depthpro_npz"))
    sample = source[0]
    assert len(source) == 1 and sample.depth is not None and sample.valid is not None
    assert float(sample.depth[sample.valid].median()) == pytest.approx(10.7442, abs=1e-3)
    assert tuple(sample.image.shape[-2:]) == (436, 1024) and not survey(source).errors


@pytest.mark.parametrize("doubled", [False, True])
def test_tartanair(tmp_path: Path, doubled: bool) -> None:
    known = METRES.copy()
    known[0] = 9999.5
    renders.tartanair(tmp_path, known, doubled=doubled)
    source = TartanAirSource(location=str(tmp_path))
    sample = source[0]
    assert len(source) == 2 and count(sample) == METRES.size - SIZE[1]
    assert np.array_equal(metres(sample)[1:], METRES[1:]) and not metres(sample)[0].any()
    assert sample.intrinsics is not None and sample.intrinsics.tolist() == [20, 20, 20, 6]
    assert sample.instances is not None and np.array_equal(sample.instances.numpy(), known > 3)
    far = TartanAirSource(location=str(tmp_path), sky="far")[0]
    assert count(far) == METRES.size and float(metres(far)[0, 0]) == 9999.5
    near = TartanAirSource(location=str(tmp_path), max_depth=10)[0]
    assert count(near) == int((METRES[1:] <= 10).sum())
    assert count(TartanAirSource(location=str(tmp_path), max_depth=10000)[0]) == METRES.size - SIZE[1]
    right = TartanAirSource(location=str(tmp_path), camera="right")[1]
    assert np.array_equal(metres(right)[1:], METRES[1:] + 1)
    assert not survey(source).findings
    assert len(TartanAirSource(location=str(next(tmp_path.rglob("P001"))))) == 2


def test_depth_in_the_bytes_of_a_picture(tmp_path: Path) -> None:
    known = METRES * np.float32(1.000001)
    known[1, 2] = 12345.0
    drive = renders.tartanair2(tmp_path, known)
    source = TartanAirSource(location=str(tmp_path))
    assert count(source[0]) == METRES.size - 1 and source.codec.packed
    assert np.array_equal(metres(source[0])[2:], known[2:])
    assert np.array_equal(metres(TartanAirSource(location=str(tmp_path), sky="far")[0]), known)
    path = next((drive / "depth_lcam_front").iterdir())
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(DataError, match="mode RGB, and depth packed as bytes has four channels"):
        _ = source[0]


def test_both_forms_of_tartanair_in_one_folder(tmp_path: Path) -> None:
    renders.tartanair(tmp_path, METRES)
    renders.tartanair2(tmp_path, METRES)
    with pytest.raises(ConfigError, match="holds TartanAir in both its forms"):
        TartanAirSource(location=str(tmp_path))
    with pytest.raises(DataError, match="has no WORLD/Easy/P000/image_left"):
        TartanAirSource(location=str(tmp_path / "office" / "office" / "Easy" / "P001" / "depth_left"))


def test_a_drive_whose_depth_is_not_there(tmp_path: Path) -> None:
    drive = renders.tartanair(tmp_path, METRES)
    (drive / "depth_left" / "000001_left_depth.npy").rename(drive / "depth_left" / "000009_left_depth.npy")
    source = TartanAirSource(location=str(tmp_path))
    assert source[1].depth is None and source[1].instances is not None
    said = " ".join(finding.message for finding in survey(source).findings)
    assert "1 depth map has no image of its name" in said and "000009_left_depth.npy" in said


def test_logarithmic_depth(tmp_path: Path) -> None:
    known = METRES.copy()
    known[0, 0], known[0, 1] = 0, np.inf
    renders.moge(tmp_path, known)
    source = MogeSource(location=str(tmp_path))
    assert [source[i].id for i in range(2)] == ["scene_b/0001", "scene_a/0007"]  # as the list has them
    sample = source[0]
    assert np.allclose(metres(sample)[1:], METRES[1:], rtol=1e-4) and count(sample) == METRES.size - 2
    assert sample.intrinsics is not None and sample.intrinsics.tolist() == [50, 18, 19.5, 2.5]
    assert count(MogeSource(location=str(tmp_path), max_depth=10)[0]) == int((known[known > 0] <= 10).sum())
    assert not survey(source).findings


def test_a_logarithmic_map_without_its_text_is_refused(tmp_path: Path) -> None:
    renders.moge(tmp_path, METRES, notes=False)
    with pytest.raises(DataError, match="has no text chunks 'near' and 'far'"):
        _ = MogeSource(location=str(tmp_path))[0]


def test_lists_of_moge(tmp_path: Path) -> None:
    renders.moge(tmp_path, METRES, listed=None)
    assert [pair.id for pair in MogeSource(location=str(tmp_path)).pairs] == ["scene_a/0007", "scene_b/0001"]
    (tmp_path / ".val.txt").write_text("scene_a/0007/\n\n")
    assert len(MogeSource(location=str(tmp_path))) == 1 == len(MogeSource(location=str(tmp_path), split="val"))
    with pytest.raises(DataError, match=r"has no list '\.train\.txt'"):
        MogeSource(location=str(tmp_path), split="train")
    (tmp_path / ".val.txt").write_text("scene_a/0007\n../elsewhere/0001\n")
    with pytest.raises(DataError, match=r"line 2 is '\.\./elsewhere/0001', which lies outside"):
        MogeSource(location=str(tmp_path))
    (tmp_path / ".val.txt").write_text("\n")
    with pytest.raises(DataError, match="names no folder"):
        MogeSource(location=str(tmp_path))


@pytest.mark.parametrize("said", ['{"intrinsics": [[1, 0], [0, 1]]}', '{"intrinsics": "none"}', '{"intrinsics": 5}'])
def test_a_camera_that_is_none(tmp_path: Path, said: str) -> None:
    renders.moge(tmp_path, METRES)
    (tmp_path / "scene_b" / "0001" / "meta.json").write_text(said)
    with pytest.raises(DataError, match=r"meta\.json' has intrinsics that are no 3 x 3 numbers"):
        _ = MogeSource(location=str(tmp_path))[0]
    (tmp_path / "scene_b" / "0001" / "meta.json").write_text(said[:-1])
    with pytest.raises(DataError, match=r"meta\.json' is no JSON object, so nothing tells the camera"):
        _ = MogeSource(location=str(tmp_path))[0]
    (tmp_path / "scene_b" / "0001" / "meta.json").unlink()
    assert MogeSource(location=str(tmp_path))[0].intrinsics is None
