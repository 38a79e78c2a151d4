"""``sunrgbd:`` finds samples at any depth, takes the only file of each folder and rotates its bits back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trees_sunrgbd import SAMPLES, SIZE, depth_of, lists, sunrgbd

from kdcli.errors import DataError
from kdcli.sources.sets.sunrgbd import SunRgbdSource
from kdcli.testing import check_source

NAMES = list(SAMPLES)


def source(root: Path, **options: Any) -> SunRgbdSource:
    return SunRgbdSource(location=str(root), **options)


def ids(made: SunRgbdSource) -> list[str]:
    return [pair.id for pair in made.pairs]


@pytest.mark.parametrize("depth", ["bfx", "raw"])
def test_samples_of_the_whole_tree(tmp_path: Path, depth: Any) -> None:
    sunrgbd(tmp_path)
    for root in (tmp_path, tmp_path / "SUNRGBD"):
        made = source(root, depth=depth)
        assert ids(made) == NAMES
        for sample in made:
            truth = depth_of(sample.id, depth == "bfx") / 1000
            assert sample.image.shape == (3, *SIZE) and sample.depth is not None and sample.valid is not None
            np.testing.assert_allclose(sample.depth[0].numpy(), truth, rtol=1e-6)
            np.testing.assert_array_equal(sample.valid[0].numpy(), truth > 0)
            assert sample.intrinsics is not None and sample.intrinsics.tolist() == [529.5, 529.5, 365, 265]
    far = source(tmp_path, depth=depth, max_depth=8)[0]
    assert far.depth is not None and far.valid is not None and far.depth.max() <= 8 and not far.valid[0, 0, :4].any()
    check_source(source(tmp_path))


def test_part_of_the_tree(tmp_path: Path) -> None:
    sunrgbd(tmp_path)
    assert ids(source(tmp_path / "SUNRGBD" / "kv1")) == NAMES[:2]
    assert ids(source(tmp_path / "SUNRGBD" / NAMES[3])) == NAMES[3:]
    (tmp_path / "SUNRGBD").rename(tmp_path / "sun")
    assert ids(source(tmp_path / "sun")) == NAMES
    assert ids(source(tmp_path / "sun" / NAMES[1])) == ["img_0063"]


def test_polygons_are_objects(tmp_path: Path) -> None:
    sunrgbd(tmp_path, NAMES[:2])
    (tmp_path / "SUNRGBD" / NAMES[1] / "annotation2Dfinal" / "index.json").unlink()
    made = source(tmp_path)
    ids = made[0].instances
    assert ids is not None and sorted(np.unique(ids)) == [1, 5] and ids[0, 0] == 1
    assert (ids[4:12, 2:10] == 5).all() and (ids[4:12, 20:24] == 5).all() and int((ids == 5).sum()) == 96
    other = made[1].instances
    assert other is not None and not other.any()
    (tmp_path / "SUNRGBD" / NAMES[0] / "annotation2Dfinal" / "index.json").write_text('{"frames": [{"polygon": [3]}]}')
    with pytest.raises(DataError, match=r"index\.json' is no annotation of SUN RGB-D"):
        made[0]


def test_official_lists(tmp_path: Path) -> None:
    sunrgbd(tmp_path)
    path = lists(tmp_path, train=[NAMES[3], NAMES[1]], test=[NAMES[2], NAMES[0], "kv1/NYUdata/NYU0999"])
    for root in (tmp_path, tmp_path / "SUNRGBD"):
        assert ids(source(root, split="train")) == [NAMES[3], NAMES[1]]
        test = source(root, split="test")
        assert ids(test) == [NAMES[2], NAMES[0]]
        assert any("1 of 3 samples of the list" in finding.message for finding in test.check())
    assert ids(source(tmp_path, split="inner-train")) == [NAMES[3]]
    assert ids(source(tmp_path, split="inner-val")) == [NAMES[1]]
    path = path.rename(tmp_path / "mine.mat")
    assert ids(source(tmp_path, split="test", list="mine.mat")) == [NAMES[2], NAMES[0]]
    with pytest.raises(DataError, match=r"told by SUNRGBDtoolbox/traintestSUNRGBD/allsplit\.mat"):
        source(tmp_path, split="test")


def test_the_part_that_is_nyu(tmp_path: Path) -> None:
    sunrgbd(tmp_path)
    assert any("1 of 4 samples are NYU Depth v2's" in finding.message for finding in source(tmp_path).check())
    without = source(tmp_path, nyu="leave-out")
    assert ids(without) == NAMES[1:] and not any("NYU" in finding.message for finding in without.check())
    inside = tmp_path / "SUNRGBD" / "kv1" / "NYUdata"
    assert any("1 of 1 samples are NYU" in finding.message for finding in source(inside).check())


def test_folders_without_their_one_file(tmp_path: Path) -> None:
    sunrgbd(tmp_path, NAMES[:3])
    first, second = (tmp_path / "SUNRGBD" / name for name in NAMES[:2])
    (first / "depth_bfx" / "NYU0001.png").unlink()
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(second / "image" / "preview.png")
    made = source(tmp_path)
    assert ids(made) == [NAMES[2]]
    said = [finding.message for finding in made.check()]
    assert any("depth_bfx' holds 0 pictures" in text for text in said)
    assert any("image' holds 2 pictures" in text for text in said)
    assert ids(source(tmp_path, depth="raw")) == [NAMES[0], NAMES[2]]
    depth = tmp_path / "SUNRGBD" / NAMES[2] / "depth_bfx" / SAMPLES[NAMES[2]][1]
    Image.fromarray(np.full(SIZE, 90, np.uint8)).save(depth)
    with pytest.raises(DataError, match="one of 16-bit whole numbers"):
        made[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folder with image/ and depth_bfx/"):
        source(tmp_path / "empty")
