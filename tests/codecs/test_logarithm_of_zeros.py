"""Logarithmic maps whose writer took holes of zero for the nearest depth, as MoGe's does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import read_stored, to_metres

CODEC = CODECS["moge"]


def logarithmic(path: Path, depth: list[float]) -> Path:
    """Write finite numbers as ``write_depth`` of MoGe does: near is at least 1e-5, far at most 1e5 times that."""
    row = np.array([depth], np.float64)
    near = max(row.min(), 1e-5)
    far = max(near * 1.1, min(row.max(), near * 1e5))
    units = 1 + np.round(np.log(row.clip(near, far) / near) / np.log(far / near) * 65533)
    notes = PngInfo()
    notes.add_text("near", str(near))
    notes.add_text("far", str(far))
    Image.fromarray(units.astype(np.uint16)).save(path, pnginfo=notes)
    return path


def test_what_was_cut_at_one_metre_is_refused(tmp_path: Path) -> None:
    path = logarithmic(tmp_path / "depth.png", [0, 0.5, 2, 9])
    with pytest.raises(DataError, match=r"from 1e-05 to 1 m: MoGe's tool writes that of a map with zeros for holes"):
        to_metres(read_stored(path, CODEC), CODEC, path)


def test_a_zero_among_depths_below_a_metre_is_a_hole(tmp_path: Path) -> None:
    path = logarithmic(tmp_path / "depth.png", [0, 0.25, 0.5, 0.9])
    depth, valid = to_metres(read_stored(path, CODEC), CODEC, path)
    assert valid[0, 0].tolist() == [False, True, True, True]
    assert np.allclose(depth[0, 0], [0, 0.25, 0.5, 0.9], rtol=1e-3)


def test_without_zeros_the_nearest_depth_stays_one(tmp_path: Path) -> None:
    path = logarithmic(tmp_path / "depth.png", [0.01, 0.5, 2, 9])
    depth, valid = to_metres(read_stored(path, CODEC), CODEC, path)
    assert bool(valid.all()) and np.allclose(depth[0, 0], [0.01, 0.5, 2, 9], rtol=1e-3)
