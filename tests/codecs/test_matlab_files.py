"""MATLAB files of version 5: variables of every kind come back, and what would bring scipy down is refused before."""

from __future__ import annotations

import importlib
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdcli.errors import DataError
from kdcli.rasters import Element
from kdcli.rasters.mat_elements import variables_in
from kdcli.rasters.matlab import fields_of, read_matlab
from kdcli.rasters.variables import arrays_in, read_texts

io: Any = pytest.importorskip("scipy.io")
DEPTH = np.random.default_rng(0).uniform(1, 5, (3, 4, 2))
TEXTS = ["kitchen_0004", "x", "office 7"]


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    held = {
        "depth": DEPTH, "small": np.uint8([[1, 2]]), "texts": np.array(TEXTS, object)[:, None],
        "data": {"depth": DEPTH[..., 0], "of": {"name": "rgb", "empty": np.zeros((0, 0))}},
        "parts": {"names": np.array(TEXTS, object)[None]}, "truth": np.array([[True, False]]),
        "waves": DEPTH[..., 0] * 1j,
    }  # fmt: skip
    io.savemat(tmp_path / "a.mat", held, do_compression=request.param)
    return tmp_path / "a.mat"


def test_variables_of_every_kind(file: Path) -> None:
    np.testing.assert_array_equal(read_matlab(Element(file, "depth")), DEPTH)
    np.testing.assert_array_equal(read_matlab(Element(file, "depth", 1, transposed=True)), DEPTH[..., 1].T)
    np.testing.assert_array_equal(read_matlab(Element(file, "data.depth")), DEPTH[..., 0])
    np.testing.assert_array_equal(read_matlab(Element(file, "waves")), DEPTH[..., 0] * 1j)
    assert read_matlab(Element(file, "small")).tolist() == [[1, 2]]
    assert read_matlab(Element(file, "truth")).tolist() == [[1, 0]]
    assert read_texts(Element(file, "texts")) == read_texts(Element(file, "parts.names")) == TEXTS
    assert read_texts(Element(file, "data.of.name")) == ["rgb"]
    assert fields_of(file, "data") == ("depth", "of") and fields_of(file, "small") == ()
    assert arrays_in(file)["depth"] == (2, 4, 3) and set(variables_in(file)) == set(arrays_in(file))
    for key, words in (("depths", "no variable 'depths' (it has: depth, small"), ("data.x", "no field 'x'")):
        with pytest.raises(DataError) as error:
            read_matlab(Element(file, key))
        assert words in str(error.value)
    with pytest.raises(DataError, match="something else than texts"):
        read_texts(Element(file, "depth"))


def test_what_is_needed_and_not_there_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str, *_: Any) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", none)
    with pytest.raises(DataError, match=r"is a MATLAB file, which the package scipy reads; run pip install 'kdcli"):
        read_matlab(Element(file, "small"))
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    for read in (lambda: read_matlab(Element(file, "depth")), lambda: arrays_in(file)):
        with pytest.raises(DataError, match="is a Git LFS pointer"):
            read()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file(file: Path, share: float) -> None:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(DataError, match="is truncated or broken"):
        read_matlab(Element(file, "waves"))


@pytest.mark.parametrize(("place", "number"), [(8, 0), (8, 99), (12, 1 << 30), (4, 0)])
def test_a_type_or_a_length_that_cannot_be(tmp_path: Path, place: int, number: int) -> None:
    io.savemat(tmp_path / "a.mat", {"depth": DEPTH})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    begin = content.index(struct.pack("<II", 9, DEPTH.nbytes)) - 8  # before the tag of the numbers
    struct.pack_into("<I", content, begin + place, number)
    (tmp_path / "a.mat").write_bytes(bytes(content))
    if place == 4:  # the name: scipy does not need it to be right
        assert "depth" not in arrays_in(tmp_path / "a.mat")
        return
    with pytest.raises(DataError, match="is truncated or broken"):
        read_matlab(Element(tmp_path / "a.mat", "depth"))


def test_no_damage_is_handed_on(file: Path) -> None:
    content, draw = file.read_bytes(), random.Random(4)
    for _ in range(300):
        bad = bytearray(content)
        for _ in range(draw.randrange(1, 5)):
            bad[draw.randrange(120, len(bad))] = draw.choice((0, 1, 5, 8, 128, 255))
        file.write_bytes(bytes(bad))
        for key in ("depth", "texts", "data.depth"):
            try:
                assert isinstance(read_matlab(Element(file, key)), np.ndarray)
            except DataError as error:
                assert str(error).startswith(f"'{file}") and "\n" not in str(error)
