"""Marigold's lists, on folders and on tars."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees_marigold import marigold

from kdcli.errors import ConfigError, DataError
from kdcli.rasters import Member
from kdcli.sources.sets.marigold import MarigoldSource
from kdcli.sources.sets.marigold_table import SETS, ZERO_SHOT, set_of, zero_shot
from kdcli.spec import bind, parse
from kdcli.testing import check_source


@pytest.mark.parametrize("packed", [True, False], ids=["tar", "folder"])
def test_depth_comes_out_as_it_went_in(tmp_path: Path, packed: bool) -> None:
    truths = marigold(tmp_path, packed=packed)
    for name, truth in truths.items():
        source = MarigoldSource(location=str(tmp_path), set=name)  # type: ignore[arg-type]
        assert [pair.id for pair in source.pairs] == list(truth), name
        assert isinstance(source.pairs[0].image, Member) is packed
        for i, pair in enumerate(source.pairs):
            sample = source[i]
            assert sample.depth is not None and sample.valid is not None
            np.testing.assert_array_equal(sample.valid[0].numpy(), truth[pair.id] > 0, err_msg=name)
            np.testing.assert_allclose(sample.depth[0].numpy(), truth[pair.id], rtol=1e-6, err_msg=name)
        assert not [finding for finding in source.check() if finding.level != "info"], name


def test_five_sets_have_five_specs(tmp_path: Path) -> None:
    truths = marigold(tmp_path, sets=ZERO_SHOT)
    specs = zero_shot(str(tmp_path))
    found = [MarigoldSource(**bind(parse(spec), MarigoldSource)) for spec in specs]
    assert [len(source) for source in found] == [len(truths[name]) for name in ZERO_SHOT]
    lists = tmp_path / "data_split"
    lists.rename(tmp_path / "own")
    (tmp_path / "own/nyu_depth").rename(tmp_path / "own/nyu")  # as older versions call it
    found = [MarigoldSource(**bind(parse(spec), MarigoldSource)) for spec in zero_shot(str(tmp_path), "own")]
    assert [len(source) for source in found] == [len(truths[name]) for name in ZERO_SHOT]


def test_a_list_and_its_tar(tmp_path: Path) -> None:
    marigold(tmp_path, sets=("nyu", "kitti"))
    lists, nyu, kitti = tmp_path / "data_split", SETS["nyu"], SETS["kitti"]
    source = MarigoldSource(location=str(tmp_path / nyu.archive), list=str(lists / nyu.list))
    sample = source[0]
    assert source.domain == "indoor" and sample.intrinsics is not None
    assert sample.intrinsics[0] == pytest.approx(51.8857901)
    assert str(source.pairs[0].depth).endswith("nyu_labeled_extracted.tar:test/kitchen_0004/depth_0001.png")
    filled = MarigoldSource(location=str(tmp_path / nyu.archive), list=str(lists / nyu.list), filled=True)[0]
    assert filled.valid is not None and filled.valid.all() and filled.depth is not None
    assert filled.depth[0, 0, 0].item() == pytest.approx(4.321)
    driven = MarigoldSource(location=str(tmp_path / kitti.archive), list=str(lists / kitti.list))
    assert len(driven) == 2 and driven.pairs[0].focal == 721.5377  # that with None is left out
    assert [finding.message for finding in driven.check() if "None for depth" in finding.message]
    with pytest.raises(ConfigError, match="filled=true: the lists of kitti have no filled depth"):
        MarigoldSource(location=str(tmp_path / kitti.archive), list=str(lists / kitti.list), filled=True)


@pytest.mark.parametrize(("name", "kind"), [
    ("data_split/nyu/labeled/filename_list_test.txt", "nyu"), ("kitti_depth/eigen_val_from_train_800.txt", "kitti"),
    ("hypersim_depth/filename_list_val_filtered.txt", "hypersim"), ("virtual_kitti/val.txt", "vkitti"),
    ("vkitti/vkitti_val.txt", "vkitti"), ("diode_val_outdoor_filename_list.txt", "diode"),
])  # fmt: skip
def test_a_set_is_told_by_names(name: str, kind: str) -> None:
    assert set_of(Path(name)) == kind


def test_a_set_is_not_guessed() -> None:
    with pytest.raises(ConfigError, match=r"nothing tells which set 'val/filename_list_test\.txt' is of"):
        set_of(Path("val/filename_list_test.txt"), Path("/data/extracted.tar"))
    assert set_of(Path("lists/test.txt"), Path("/data/eth3d/eth3d.tar")) == "eth3d"
    with pytest.raises(ConfigError, match="may be of nyu or kitti, which are stored unlike; write set=nyu"):
        set_of(Path("kitti_and_nyu/test.txt"))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    marigold(tmp_path, sets=("scannet", "diode"))
    tar, lists = tmp_path / SETS["scannet"].archive, tmp_path / "data_split"
    path = lists / SETS["scannet"].list
    with pytest.raises(DataError, match=r"line 1 has 2 words, not 'image depth third'; give another list or"):
        MarigoldSource(location=str(tar), list=str(path), set="diode")
    with pytest.raises(DataError, match=r"line 1 has a third file '.*mask\.npy', and lists of this set have none"):
        MarigoldSource(location=str(tmp_path), list=str(lists / SETS["diode"].list), set="kitti")
    good = path.read_text()
    path.write_text(good.replace("000300.jpg", "000301.jpg"))
    with pytest.raises(DataError, match=r"1 of the files that '.*' names are not in '.*800_1\.tar', such as 'scene"):
        MarigoldSource(location=str(tar), list=str(path))
    path.write_text(good)
    with pytest.raises(ConfigError, match=r"is data without a list; write set=NAME, one of nyu, .*, or list=FILE"):
        MarigoldSource(location=str(tmp_path))
    with pytest.raises(DataError, match=r"has no list 'nyu_depth/labeled/filename_list_test\.txt' of set=nyu"):
        MarigoldSource(location=str(tmp_path), set="nyu")
    with pytest.raises(DataError, match=r"has neither 'scene0406_02/color/000300\.jpg'"):
        MarigoldSource(location=str(tmp_path / "diode"), list=str(path))


def test_eight_bits_are_refused(tmp_path: Path) -> None:
    marigold(tmp_path, packed=False, sets=("scannet",))
    source = MarigoldSource(location=str(tmp_path), set="scannet")
    path = source.pairs[0].depth
    assert isinstance(path, Path)
    Image.fromarray(np.full((48, 64), 200, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"000300\.png' has 8 bits, and depth has 16 in this layout"):
        source[0]


def test_a_photograph_in_place_of_floats_is_refused(tmp_path: Path) -> None:
    marigold(tmp_path, packed=False, sets=("eth3d",))
    folder = (tmp_path / SETS["eth3d"].archive).with_suffix("")
    for image in (folder / "rgb").rglob("*.JPG"):
        depth = folder / "depth" / f"{image.parts[-4]}_dslr_depth" / image.parts[-4] / "ground_truth_depth/dslr_images"
        (depth / image.name).write_bytes(image.read_bytes())
    with tarfile.open(folder.with_suffix(".tar"), "w") as tar:
        tar.add(folder, ".")
    source = MarigoldSource(location=str(tmp_path), set="eth3d")
    assert isinstance(source.pairs[0].depth, Member)  # though the folder is there too
    with pytest.raises(DataError, match=r"eth3d\.tar:depth/.*\.JPG' is a JPEG of \d+ bytes, not depth"):
        source[0]


def test_it_passes_the_kit(tmp_path: Path) -> None:
    marigold(tmp_path, sets=("diode",))
    check_source(MarigoldSource, options={"location": str(tmp_path), "set": "diode"})


def test_real_lists_are_read(tmp_path: Path, shared: Path) -> None:
    """The published lists of NYU and KITTI, on tars that have no content but names."""
    split = shared / "data/splits/marigold/data_split"
    for name, count, kind in (
        ("nyu_depth/labeled/filename_list_test.txt", 654, "nyu"),
        ("kitti_depth/eigen_val_from_train_800.txt", 800, "kitti"),
        ("diode_depth/diode_val_outdoor_filename_list.txt", 446, "diode"),
    ):  # fmt: skip
        files = [word for line in (split / name).read_text().splitlines() for word in line.split() if "/" in word]
        with tarfile.open(tmp_path / f"{kind}.tar", "w") as tar:
            for file in files:
                tar.addfile(tarfile.TarInfo(f"./{file}"))
        source = MarigoldSource(location=str(tmp_path / f"{kind}.tar"), list=str(split / name))
        assert len(source) == count and source.codec == SETS[kind].codec
