from __future__ import annotations

import json
from typing import Any

import pytest

from kdcli.made_for import common, read, told
from kdcli.types import MadeFor

WHOLE = MadeFor(
    train_size=(352, 704), eval_size=(352, 1216), fit="around", domain="driving", near=0.0, far=80.0,
    transfer="sim:blocks,count=3", test="sim:rooms",
)  # fmt: skip


@pytest.mark.parametrize("made", [WHOLE, MadeFor(), MadeFor(train_size=(64, 96), far=10.0)], ids=str)
def test_what_is_told_is_read_again(made: MadeFor) -> None:
    text = json.dumps(told(made))
    assert read(json.loads(text)) == made
    assert "null" not in text and read({**told(made), "of a later version": 1}) == made


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train_size", [64]), ("train_size", [64, 0]), ("eval_size", "64x96"), ("eval_size", [64, 9.5]),
        ("eval_size", [True, 4]), ("train_size", [2**40, 4]), ("domain", "space"), ("domain", ["indoor"]),
        ("near", "1"), ("near", -1), ("far", float("inf")), ("far", float("nan")), ("far", True), ("near", 90),
        ("fit", "yes"), ("fit", ["within"]), ("transfer", ""), ("test", "x" * 2000), ("test", {"a": 1}),
        ("test", "folder:/home"), ("transfer", "some-plugin:x"), ("test", "kdcli-other/sim:rooms"), ("test", "sim,"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key) as caught:
        read({**told(WHOLE), key: value})
    assert len(str(caught.value)) < 120


def test_a_file_carries_no_source_but_simulated_ones() -> None:
    made = MadeFor(train_size=(64, 96), transfer="some-plugin:x", test="sim:rooms,count=4")
    assert read(told(made)) == MadeFor(train_size=(64, 96), test="sim:rooms,count=4")


def test_several_have_in_common_what_all_of_them_say() -> None:
    room = MadeFor(train_size=(416, 544), domain="indoor", near=0.1, far=10.0)
    other = MadeFor(train_size=(228, 304), eval_size=(228, 304), domain="indoor", far=8.0)
    assert common([None, room, other]) == MadeFor(train_size=(416, 544), domain="indoor", near=0.1, far=10.0)
    assert common([room, WHOLE]) == MadeFor(train_size=(416, 544), near=0.0, far=80.0)
    assert common([WHOLE, WHOLE]) == WHOLE
    assert common([None, None]) is None and common([]) is None
