"""Images that share a file, as those of archives and of files of arrays do, are told apart all the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from kdcli.rasters import Element, Member, Place
from kdcli.sources.pairs import Pair
from kdcli.training.run.holdout import identity


def of(*places: Place) -> object:
    pairs: Sequence[Pair] = [Pair(id=str(i), image=place) for i, place in enumerate(places)]
    return SimpleNamespace(pairs=pairs)


def test_parts_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "all.bin"
    file.write_bytes(b"content")
    os.link(file, tmp_path / "same.bin")
    source = of(
        file, Member(file, "a.png", 0, 3), Member(file, "b.png", 3, 4), Element(file, "images", 0),
        Element(file, "images", 1), Element(file, "rgb"),
    )
    told = [identity(source, i) for i in range(6)]
    assert len(set(told)) == 6
    same = tmp_path / "same.bin"
    again = of(Member(same, "b.png", 3, 4), Element(same, "images", 1, transposed=True))
    assert [identity(again, i) for i in range(2)] == [told[2], told[4]]


def test_parts_of_a_file_that_is_gone(tmp_path: Path) -> None:
    gone = of(Element(tmp_path / "no.mat", "images", 0), Element(tmp_path / "no.mat", "images", 1), tmp_path / "no.png")
    assert len({identity(gone, i) for i in range(3)}) == 3
