"""``ibims:`` reads both forms, multiplies their masks, and gives edges and planes besides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trees_ibims import CAMERA, NAMES, SIZE, matlab, normals, parts, pictures

from kdcli.errors import DataError
from kdcli.sources.sets.ibims import IbimsSource
from kdcli.testing import check_source


def source(root: Path, **options: Any) -> IbimsSource:
    return IbimsSource(location=str(root), **options)


@pytest.mark.parametrize(("form", "white"), [("raw", 1), ("raw", 255), ("mat", 1)])
def test_depth_where_both_masks_say_so(tmp_path: Path, form: str, white: int) -> None:
    folder = tmp_path / f"ibims1_core_{form}"
    if form == "mat":
        matlab(folder)
    else:
        pictures(folder, white)
    for root in (tmp_path, folder):
        made = source(root)
        assert made.form == form and len(made) == 2
        assert [pair.id for pair in made.pairs] == (list(NAMES) if form == "mat" else list(reversed(NAMES)))
        for sample in made:
            held = parts(sample.id)
            counts = (held["depth"] > 0) & (np.arange(SIZE[0])[:, None] >= 4)
            assert sample.depth is not None and sample.valid is not None
            np.testing.assert_array_equal(sample.valid[0].numpy(), counts)
            np.testing.assert_allclose(sample.depth[0].numpy()[counts], held["depth"][counts], atol=4e-4, rtol=1e-6)
            np.testing.assert_array_equal(sample.image.numpy(), held["rgb"].transpose(2, 0, 1) / np.float32(255))
            assert sample.intrinsics is not None and sample.intrinsics.tolist() == pytest.approx(CAMERA)
    check_source(made)


def test_both_forms_give_the_same(tmp_path: Path) -> None:
    pictures(tmp_path / "ibims1_core_raw")
    matlab(tmp_path / "ibims1_core_mat")
    assert source(tmp_path).form == "mat"
    both = {form: {s.id: s for s in source(tmp_path, form=form, max_depth=25)} for form in ("raw", "mat")}
    for name in NAMES:
        one, other = both["raw"][name], both["mat"][name]
        assert one.valid is not None and other.valid is not None and one.depth is not None and other.depth is not None
        assert (one.valid == other.valid).float().mean() > 0.999 and float(one.depth.max()) <= 25
        assert (one.image == other.image).all()


@pytest.mark.parametrize("form", ["raw", "mat"])
def test_edges_and_planes(tmp_path: Path, form: Any) -> None:
    (pictures if form == "raw" else matlab)(tmp_path)
    made = source(tmp_path, form=form)
    for index, pair in enumerate(made.pairs):
        known, held = made.geometry(index), parts(pair.id)
        assert known.edges is not None
        np.testing.assert_array_equal(known.edges.numpy(), held["edges"] != 0)
        wanted = [] if form == "raw" else [
            (held[f"mask_{kind}"] == j, row[4:7])
            for kind in ("wall", "table", "floor") for j, row in enumerate(normals(kind), 1)
        ]  # fmt: skip
        assert len(known.planes) == len(wanted) == (3 if form == "mat" else 0)
        for (mask, normal), (here, true) in zip(known.planes, wanted, strict=True):
            np.testing.assert_array_equal(mask.numpy(), here)
            np.testing.assert_array_equal(normal.numpy(), true)


@pytest.mark.parametrize("text", ["564.5 0 320.2\n0 565.1 241.8\n0 0 1\n", "564.5 0 0 0 565.1 0 320.2 241.8 1\n"])
def test_a_calibration_in_either_order(tmp_path: Path, text: str) -> None:
    pictures(tmp_path)
    (tmp_path / "calib" / f"{NAMES[1]}.txt").write_text(text)
    assert source(tmp_path)[0].intrinsics.tolist() == pytest.approx(CAMERA)  # type: ignore[union-attr]
    (tmp_path / "calib" / f"{NAMES[1]}.txt").write_text("1 2")
    with pytest.raises(DataError, match="neither fx, fy, cx, cy nor a 3 x 3 matrix"):
        source(tmp_path)[0]


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no NAME\.mat and no rgb/ beside depth/"):
        source(tmp_path)
    pictures(tmp_path)
    with pytest.raises(DataError, match=r"no NAME\.mat; give the folder"):
        source(tmp_path, form="mat")
    (tmp_path / "mask_transp" / f"{NAMES[0]}.png").unlink()
    assert source(tmp_path)[1].valid[0, 2:4].all()  # type: ignore[index]
    Image.fromarray(np.full(SIZE, 90, np.uint8)).save(tmp_path / "depth" / f"{NAMES[0]}.png")
    with pytest.raises(DataError, match="has 8 bits"):
        source(tmp_path)[1]
