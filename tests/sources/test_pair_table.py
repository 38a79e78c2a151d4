"""Pairs as a table: what goes in comes out, whatever it is, and takes little room."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kdcli.images import Rig
from kdcli.rasters import Element, Member
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.frames import Frames
from kdcli.sources.table.columns import Numbers
from kdcli.sources.table.packed import PackedTexts
from kdcli.sources.table.pair_table import Rows, table_of

PAIRS = [
    Pair(id="a/1.png", image=Path("/data/a/1.png"), depth=Path("/data/depth/1.png"), scale=1000.0),
    Pair(id="2.png", image=Path("2.png"), focal=518.5),
    Pair(id="called otherwise", image=Path("/3.png"), depth=Path("../d/3.npy"), mask=Path("/data/a/3_mask.png")),
    Pair(id="", image=Path("/data/\u00e4 b/\udcff.jpg"), intrinsics=(1.0, 2.0, 3.0, 4.0), instances=Path("/i/3.png")),
    Pair(
        id="scene/rgb.png", image=Member(archive=Path("/t/x.tar"), inner="scene/rgb.png", offset=512, size=77),
        depth=Member(archive=Path("y.tar"), inner="d.png", offset=1 << 40, size=0), rig=Rig(focal_baseline=1.5),
    ),
    Pair(id="0", image=Element(file=Path("/m/nyu.mat"), key="images", index=0, transposed=True),
         depth=Element(file=Path("/m/nyu.mat"), key="group/depths")),
    Pair(id="odd", image=Element(file=Path("a.h5"), key="rgb", index=-1)),
]  # fmt: skip


def test_what_goes_in_comes_out() -> None:
    table = table_of(iter(PAIRS))
    assert len(table) == len(PAIRS) and list(table) == PAIRS
    assert [table[i] for i in range(-len(PAIRS), 0)] == PAIRS
    assert list(table[1:5:2]) == PAIRS[1:5:2] and list(table[::-1][1:3]) == PAIRS[::-1][1:3]
    with pytest.raises(IndexError):
        table[len(PAIRS)]


def test_it_is_sent_to_other_processes() -> None:
    table = pickle.loads(pickle.dumps(table_of(PAIRS)))
    assert list(table) == PAIRS


@pytest.mark.parametrize("rows", [[0], [4, 2, 5], [1, 1], range(6, -1, -1)])
def test_some_of_it_is_a_table_of_its_own(rows: list[int]) -> None:
    assert list(table_of(PAIRS).take(rows)) == [PAIRS[row] for row in rows]


def test_it_knows_which_parts_there_are() -> None:
    table = table_of(PAIRS)
    assert table.has("depth") and table.has("instances") and table.has("mask")
    assert not table.take([1]).has("depth"), "the parts of what is left"
    assert sorted(table.take([0, 2]).paths("depth")) == ["../d/3.npy", "/data/depth/1.png"]


def test_columns_may_begin_late_and_rows_may_be_strings() -> None:
    rows = Rows()
    rows.add(2, ids=len("/data/"), image=["/data/a/1.png", "/data/a/2.png"])
    rows.add(1, ids=["three"], image=["/data/b/3.png"], depth=["/data/b/3.npy"], scale=[5000.0])
    assert list(rows.table()) == [
        Pair(id="a/1.png", image=Path("/data/a/1.png")), Pair(id="a/2.png", image=Path("/data/a/2.png")),
        Pair(id="three", image=Path("/data/b/3.png"), depth=Path("/data/b/3.npy"), scale=5000.0),
    ]


def test_more_values_than_a_byte_counts() -> None:
    pairs = [replace(PAIRS[0], focal=float(i)) for i in range(70_000)]
    table = table_of(pairs)
    assert [table[i].focal for i in (0, 255, 256, 65_535, 65_536, 69_999)] == [0, 255, 256, 65_535, 65_536, 69_999]


def scenes(i: int) -> tuple[str, str]:
    """Frames of scenes, as NYU Depth v2 has them."""
    return f"scene_{i // 500:04d}/rgb_{i % 500:05d}.jpg", f"scene_{i // 500:04d}/sync_depth_{i % 500:05d}.png"


def folders(i: int) -> tuple[str, str]:
    """Two folders of its own for each image, as SUN RGB-D has them."""
    return f"kv1/img_{i:06d}/image/img_{i:06d}.jpg", f"kv1/img_{i:06d}/depth_bfx/img_{i:06d}_abs.png"


@pytest.mark.parametrize(("names", "most"), [(scenes, 60), (folders, 110)])
def test_a_pair_takes_few_bytes(names: Callable[[int], tuple[str, str]], most: int) -> None:
    def held(count: int) -> int:
        rows = Rows()
        tracemalloc.start()
        for at in range(0, count, 1000):
            files = [names(i) for i in range(at, at + 1000)]
            image, depth = ([f"/data/{pair[side]}" for pair in files] for side in (0, 1))
            rows.add(1000, ids=[pair[0] for pair in files], image=image, depth=depth, focal=[518.8579] * 1000)
            del files, image, depth
        table = rows.table()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert table[count - 1].image == Path("/data") / names(count - 1)[0]
        return size

    assert (held(12_000) - held(2000)) / 10_000 < most


def test_positions_are_those_of_a_list() -> None:
    items = list(range(100, 150))
    for selection in (
        Selection(start=3, stop=-2, every=4), Selection(count=5), Selection(count=5, seed=1), Selection(start=-7),
    ):
        chosen = selection.apply(items, "it")
        assert chosen == [items[i] for i in selection.positions(len(items), "it")]
        assert chosen == sorted(chosen) and set(chosen) <= set(items)


def test_packed_texts_are_those_that_went_in() -> None:
    texts = [f"scene_{i // 40}/rgb_{i:05d}.png \u00e4\udcff\0{i}" for i in range(700)] + [""]
    packed = PackedTexts(iter(texts))
    assert list(packed) == texts and packed[-1] == "" and packed[-2] == texts[-2]
    assert [packed[i] for i in (0, 699, 128, 127, 256)] == [texts[i] for i in (0, 699, 128, 127, 256)]
    assert packed[5:400:130] == texts[5:400:130] and not PackedTexts([])
    assert list(pickle.loads(pickle.dumps(packed))) == texts
    with pytest.raises(IndexError):
        packed[701]


def test_a_part_of_frames_makes_no_pair_until_it_is_asked_for() -> None:
    made = []

    def make(name: str) -> Pair:
        made.append(name)
        return Pair(id=name, image=Path(name))

    frames = Frames((f"{i}.png" for i in range(10)), make)
    frames.choose(range(1, 10, 2))
    part = frames[1:4]
    assert len(part) == 3 and not made
    assert part[0].id == "3.png" and [pair.id for pair in part[::-1]] == ["7.png", "5.png", "3.png"]


def test_numbers_widen_where_one_needs_it() -> None:
    numbers = Numbers([1, 2**32 - 1])
    numbers.append(2**40)
    numbers.close()
    assert list(numbers) == [1, 2**32 - 1, 2**40] and len(numbers) == 3
