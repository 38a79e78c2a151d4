from __future__ import annotations

import pytest

from kdcli.text import LONG, agreeing, block, counted, line

LETTERS = "plain text, gr\xf6\xdfer, \u6df1\u5ea6, \U0001f642"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (LETTERS, LETTERS),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\x00b\x7f", "a\\x00b\\x7f"),
        ("photo\u202egnp.exe", "photo\\u202egnp.exe"),
        ("\u2066x\u2069\u200f", "\\u2066x\\u2069\\u200f"),
        ("\ufeffx\U000e0041", "\\ufeffx\\U000e0041"),
        (b"caf\xe9 \xff".decode("utf-8", "surrogateescape"), "caf\\xe9 \\xff"),
        ("\ud83d", "\\ud83d"),
    ],
)
def test_controls_are_shown_and_letters_stay(text: str, shown: str) -> None:
    assert line(text) == block(text) == shown
    shown.encode()  # it can be written


def test_one_field_is_one_line() -> None:
    assert line("a\nb\r\n  c\td\x0be") == "a b c d e"
    assert line("a\u2028b\x85c") == "a\\u2028b\\x85c"
    assert line("two  spaces stay") == "two  spaces stay"
    assert line(OSError("x\ny")) == "x y"


def test_a_block_keeps_its_lines() -> None:
    assert block("a\tb\r\nc\rd\n") == "a\tb\nc\\x0dd\n"


@pytest.mark.parametrize("length", [LONG - 1, LONG, LONG + 1, 10**7])
def test_a_line_is_cut_in_its_middle(length: int) -> None:
    shown = line("begin " + "x" * (length - 10) + " end")
    assert len(shown) <= LONG and shown.startswith("begin x") and shown.endswith("x end")
    assert (" ... " in shown) == (length > LONG)
    assert len(line("\x1b" * 10**6, 40)) <= 40


def test_one_is_not_several() -> None:
    assert (counted(1, "image"), counted(0, "image"), counted(2000, "map")) == ("1 image", "0 images", "2,000 maps")


@pytest.mark.parametrize(("words", "of_one"), [
    ("images have no depth of their name and are left out: 'a', 'all and are'",
     "image has no depth of its name and is left out: 'a', 'all and are'"),
    ("depth maps have no image of their name", "depth map has no image of its name"),
    ("images have the name of another, and all are used", "image has the name of another, and all are used"),
    ("folders below hold pairs of their own", "folder below holds pairs of its own"),
    ("depth files end in .jpg, which is not read", "depth file ends in .jpg, which is not read"),
])  # fmt: skip
def test_one_is_not_spoken_of_as_of_several(words: str, of_one: str) -> None:
    assert agreeing(1, words) == f"1 {of_one}" and agreeing(2000, words) == f"2,000 {words}"
