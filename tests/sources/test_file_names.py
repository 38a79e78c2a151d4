"""Names of many files as strings: order, endings, roles and matching are those of each name by itself."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kdcli.sources.file_names import (
    alike,
    ending_of,
    natural_key,
    natural_order,
    prefix_of,
    stem_of,
    with_endings,
    without_ending,
)
from kdcli.sources.matching import by_name, match_names, twins
from kdcli.sources.roles import Role, bare, called, has_word, role_of, starred

NAMES = [
    "a.png", "a", ".hidden", ".hidden.png", "a.", "a.b.PNG", "x/a.png", "x.y/a", "x/.a", "/a.JPG", "x/..a", "x.y/a.",
    "\u00e4/\u00f6.jpeg",
]


@pytest.mark.parametrize("path", NAMES)
def test_parts_of_a_name_are_those_of_pathlib(path: str) -> None:
    assert ending_of(path) == Path(path).suffix.lower()
    assert stem_of(path) == Path(path).stem
    assert without_ending(path) == str(Path(path).with_suffix(""))


def test_a_folder_and_a_name_make_a_path() -> None:
    for folder in (".", "/", "a", "a/b", "../a"):
        assert prefix_of(Path(folder)) + "x.png" == str(Path(folder) / "x.png")


def test_endings_are_told_in_either_case() -> None:
    assert with_endings(["a.png", "a.PNG", "a.png.txt", "png"], {".png"}) == ["a.png", "a.PNG"]


def by_parts(text: str) -> list[tuple[int, int, str]]:
    """The natural order spelled out: numbers before letters, by value, then as they are written."""
    parts = [part for part in re.split(r"(\d+)", text) if part]
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def test_the_order_is_natural() -> None:
    dice = random.Random(0)
    for letters in ("0019ab._/", "01a", "01", "2\u0663a "):
        names = ["".join(dice.choices(letters, k=dice.randint(1, 6))) for _ in range(120)]
        for one, other in itertools.combinations(names, 2):
            assert (natural_key(one) < natural_key(other)) == (by_parts(one) < by_parts(other)), (one, other)
        assert natural_order(names) == sorted(names, key=by_parts)


def test_numbers_of_one_width_are_in_order_too() -> None:
    names = [f"{i:03d}_{i * 7 % 10}.png" for i in range(200)]
    assert natural_order(reversed(names)) == names


@pytest.mark.parametrize(
    "name", ["rgb_0012", "depth0007.002", "a/Frame12_i3_4/00012.mask", "00_valid-9", "imgs/ID_c", "x\u0663_depth1"],
)
def test_what_names_say_does_not_depend_on_their_digits(name: str) -> None:
    for digits in ("1", "9"):
        other = name.translate(str.maketrans("0123456789", digits * 10))
        assert alike(other) == alike(name) and role_of(other) is role_of(name)
        assert has_word(other, frozenset({"depth", "valid"})) == has_word(name, frozenset({"depth", "valid"}))
        for rule in (lambda text: starred(text, frozenset()), bare, lambda text: bare(text, weak=True)):
            assert alike(rule(other)) == alike(rule(name))


def test_files_of_a_role_are_found_among_many() -> None:
    names = ("1.png", "1_mask.png", "1_depth.png", "1_Disp.png", "discolored.png", "2VALID.png")
    files = [f"d/{name}" for name in names]
    assert called(files, (Role.MASK,)) == ["d/1_mask.png", "d/2VALID.png"]
    assert called(files, (Role.DEPTH, Role.DISPARITY)) == ["d/1_depth.png", "d/1_Disp.png"]
    assert called(["depth/1.png"], (Role.DEPTH,)) == [], "what a folder is called does not count"


def test_files_of_one_name_are_told() -> None:
    files = ["d/a.jpg", "d/a.png", "d/b.png", "d/e/a.png"]
    assert twins(files) == [("d/a.jpg", "d/a.png")] and twins(files[1:]) == []
    named = by_name(files, "d/")
    assert named.first == {"a": "d/a.jpg", "b": "d/b.png", "e/a": "d/e/a.png"}
    assert named.of("a") == files[:2] and named.of("b") == ["d/b.png"]


@pytest.mark.parametrize(
    ("image", "depth"),
    [
        (lambda i: f"{i:05d}", lambda i: f"{i:05d}"), (lambda i: f"rgb_{i}", lambda i: f"depth_{i}"),
        (lambda i: f"rgb_{i:05d}", lambda i: f"sync_depth_{i}"),
        (lambda i: f"s{i % 3}/{i:04d}", lambda i: f"s{i % 3}/{i}"),
        (lambda i: f"frame-{i:06d}.color", lambda i: f"{i}_depth_gt"),
        (lambda i: f"x\u0663/{i}", lambda i: f"x3/{i}_depth"),
    ],
)  # fmt: skip
def test_each_of_many_images_finds_its_depth(image: Callable[[int], str], depth: Callable[[int], str]) -> None:
    count = 300
    found = match_names({image(i): i for i in range(count)}, {depth(i): i for i in reversed(range(count))})
    assert found == {image(i): i for i in range(count)} and list(found) == [image(i) for i in range(count)]
