from __future__ import annotations

from pathlib import Path

import pytest

from kdcli.together import together


def _write(path: Path, *names: str) -> None:
    with together(path) as temporary:
        for name in names:
            (temporary.parent / name).write_text(name)


def test_all_files_come_to_be_or_none(tmp_path: Path) -> None:
    _write(tmp_path / "a.xml", "a.xml", "a.bin")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.bin", "a.xml"]
    with pytest.raises(RuntimeError), together(tmp_path / "a.xml") as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert (tmp_path / "a.xml").read_text() == "a.xml" and len(list(tmp_path.iterdir())) == 2
    _write(tmp_path / "a.xml", "a.xml", "a.bin")
    with pytest.raises(FileNotFoundError, match=r"nothing was written to '.*b\.xml'"):
        _write(tmp_path / "b.xml", "b.bin")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_stranger_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.bin' is in the way of '.*a\.xml'; remove or rename it"):
        _write(tmp_path / "a.xml", "a.xml", "a.bin")
    assert [one.name for one in tmp_path.iterdir()] == ["a.bin"] and (tmp_path / "a.bin").read_text() == "mine"


def test_folders_are_replaced_whole(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with together(tmp_path / "a.mlpackage") as temporary:
            temporary.mkdir()
            (temporary / f"{text}.txt").write_text(text)
    assert [one.name for one in (tmp_path / "a.mlpackage").iterdir()] == ["new.txt"]
    assert [one.name for one in tmp_path.iterdir()] == ["a.mlpackage"]
