"""Depth whose unit cannot be true is named, with the scale that would fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdcli.errors import ConfigError
from kdcli.images import write_depth_png
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.types import Finding

ROWS, COLUMNS = np.mgrid[0:24, 0:32]
METRES = 1.5 + ROWS / 12 + COLUMNS / 32
"""Between 1.5 and 4.4 m."""

Write = Callable[[Path], object]


def png(array: np.ndarray) -> Write:
    return lambda path: Image.fromarray(array).save(path.with_suffix(".png"))


def npy(array: np.ndarray) -> Write:
    return lambda path: np.save(path.with_suffix(".npy"), array)


def pgm(array: np.ndarray) -> Write:
    return lambda path: path.with_suffix(".pgm").write_bytes(b"P5 32 24 255\n" + array.tobytes())


def findings(root: Path, *depths: Write, options: str = "", kind: str = "folder") -> list[Finding]:
    for name in ("rgb", "depth"):
        (root / name).mkdir()
    for i, write in enumerate(depths):
        picture = np.stack([(METRES * 40).astype(np.uint8) + i] * 3, -1)
        Image.fromarray(picture).save(root / f"rgb/{i}.png")
        write(root / f"depth/{i}")
    spec = f"folder:{root}/rgb,depths={root}/depth" if kind == "folder" else f"rgbd:{root}"
    return survey(load_source(spec + options)).findings


EIGHT = (METRES * 50).astype(np.uint8)


@pytest.mark.parametrize("write", [png(EIGHT), npy(EIGHT), pgm(EIGHT)])
@pytest.mark.parametrize("kind", ["folder", "rgbd"])
def test_8_bit_depth_needs_a_unit(tmp_path: Path, write: Write, kind: str) -> None:
    found = findings(tmp_path, write, write, kind=kind)
    assert [one.level for one in found] == ["warning"] and found[0].path is not None
    assert "2 of 2 depth maps are 8-bit" in found[0].message and "scale=" in found[0].message


def test_8_bit_depth_with_a_unit_is_believed(tmp_path: Path) -> None:
    assert findings(tmp_path, png(EIGHT), options=",scale=50") == []


def test_one_of_8_bits_among_others(tmp_path: Path) -> None:
    good = png((METRES * 1000).astype(np.uint16))
    found = findings(tmp_path, good, png(EIGHT), good)
    assert len(found) == 1 and "1 of 3 depth maps are 8-bit" in found[0].message
    assert found[0].path is not None and found[0].path.endswith("1.png")


@pytest.mark.parametrize("kind", ["folder", "rgbd"])
@pytest.mark.parametrize("factor", [50, 1000])
def test_floats_of_millimetres(tmp_path: Path, kind: str, factor: float) -> None:
    write = npy((METRES * factor).astype(np.float32))
    found = findings(tmp_path, write, kind=kind)
    assert len(found) == 1 and found[0].level == "warning"
    assert ("scale=1000" if factor == 1000 else "scale=100") in found[0].message
    assert findings_again(tmp_path, f",scale={factor:g}", kind) == []


def findings_again(root: Path, options: str, kind: str) -> list[Finding]:
    spec = f"folder:{root}/rgb,depths={root}/depth" if kind == "folder" else f"rgbd:{root}"
    return survey(load_source(spec + options)).findings


def test_one_file_in_another_unit_is_found(tmp_path: Path) -> None:
    metres = npy(METRES.astype(np.float32))
    found = findings(tmp_path, metres, metres, npy((METRES * 1000).astype(np.float64)))
    assert len(found) == 1 and found[0].path is not None and found[0].path.endswith("2.npy")
    assert "1 of 3 depth maps (floats)" in found[0].message
    assert "it would fit with scale=1000 (millimetres: median 2.94 m)" in found[0].message


def test_16_bits_that_hold_whole_metres(tmp_path: Path) -> None:
    millimetres = png((METRES * 1000).astype(np.uint16))
    found = findings(tmp_path, millimetres, millimetres, png(METRES.astype(np.uint16)))
    assert len(found) == 1 and "16-bit whole numbers" in found[0].message and "scale=1 (metres" in found[0].message


def test_16_bits_beyond_200_metres(tmp_path: Path) -> None:
    fine = npy(METRES.astype(np.float32))
    far = npy((METRES * 1000).astype(np.uint16))
    found = findings(tmp_path, fine, fine, far, options=",scale=1")
    assert len(found) == 1 and "16-bit whole numbers" in found[0].message and "scale=1000" in found[0].message


def test_a_whole_set_in_the_wrong_unit_is_one_finding(tmp_path: Path) -> None:
    write = png((METRES * 1000).astype(np.uint16))
    found = findings(tmp_path, write, write, options=",scale=1")
    assert len(found) == 1 and "plausible with scale=1000" in found[0].message


def test_a_file_that_names_its_unit(tmp_path: Path) -> None:
    import torch

    depth = torch.from_numpy(METRES)
    assert findings(tmp_path, lambda path: write_depth_png(path.with_suffix(".png"), depth, scale=4000)) == []
    sample = load_source(f"rgbd:{tmp_path}")[0]
    assert sample.depth is not None and np.abs(sample.depth[0].numpy() - METRES).max() < 1 / 4000


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf", "1e-300", "1e-7", "1e13", "1e300"])
def test_a_scale_that_cannot_be_is_refused(tmp_path: Path, scale: str) -> None:
    with pytest.raises(ConfigError, match=r"scale=\S+ is no number of 1e-06 to 1e\+12;"):
        findings(tmp_path, png(METRES.astype(np.uint16)), options=f",scale={scale}")
