"""Lines of list files and specs of the command line, out of words that somebody may write: seeded soups."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

ODD = (
    "",
    " ",
    ",",
    "=",
    ":",
    "[",
    "]",
    "[]",
    "|",
    "[a|b",
    "a]]",
    "none",
    "None",
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e999",
    "1e-300",
    "1e300",
    "9" * 400,
    "1_000",
    "\u0663",
    "\u00b2",
    "true",
    "x" * 300,
    "x" * 5000,
    "../..",
    "/",
    "~",
    "~nobody",
    "//",
    "\\",
    "%00",
    "{}",
    "{0}",
    "$HOME",
    "*",
    "**",
    "?",
    "[!",
    "\x1b[2J",
    "\x07",
    "\r",
    "\n",
    "\t",
    "\u202e",
    "\udcff",
    "\u00e9",
    "\U0001f600",
    "a\nb",
    "'",
    '"',
    "`",
    "0x10",
    "32x64",
    "0x0",
    "1e3",
    "2.5",
    ".",
    "-",
    "--json",
    "@",
    "#",
)
"""What stands where something else is meant; no NUL, which no command line can hold."""


def soup(draw: random.Random, known: Sequence[str], most: int = 6) -> str:
    """Words in a row, with commas, colons or nothing between."""
    words = (draw.choice((*known, *known, draw.choice(ODD))) for _ in range(draw.randint(1, most)))
    return "".join(word + draw.choice(("", ",", ":", "=", "|")) for word in words)


def spec(draw: random.Random, names: Sequence[str], keys: Mapping[str, Sequence[str]], values: Sequence[str]) -> str:
    """A spec of a plugin that mostly exists with keys that it mostly has, and values of any kind."""
    if draw.random() < 0.15:
        return soup(draw, names)
    name = draw.choice(names)
    text = name + (f":{draw.choice((*values, draw.choice(ODD)))}" if draw.random() < 0.6 else "")
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        own = keys.get(name, ())
        key = draw.choice(own) if own and draw.random() < 0.85 else draw.choice(ODD)
        value = draw.choice(values) if draw.random() < 0.3 else draw.choice(ODD)
        text += f",{key}={value}"
    return text


def line(draw: random.Random, words: Sequence[str], most: int = 5) -> str:
    """A line of a list: words set off in one of the ways that people write."""
    sign = draw.choice((" ", " ", "\t", ",", ";", "  ", " , "))
    quote = draw.choice(("", "", "", '"', "'"))
    return sign.join(
        quote + draw.choice((*words, *words, draw.choice(ODD))) + quote for _ in range(draw.randint(1, most))
    )
