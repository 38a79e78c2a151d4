"""Text in the columns of a terminal: how wide that is, how a text is folded, how wide its letters are.

Help and tables fold alike: between words, and inside of a word only where it is wider than its column.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress

FALLBACK = 120
"""Columns where nobody can tell how many there are: in a file, in the log of a job."""
LEAST = 20
_PARTS = re.compile(r"[^|,/=:]*[|,/=:]+|[^|,/=:]+")
"""Where a word that is too wide is broken first: after what joins a list, a path, a spec."""


_PIECES = re.compile(r"(?:kdcli|pip install|torchrun) [^;,()]*[^;,()\s.][;,.)]*|\S+")
"""What a sentence is folded between: its words, and commands in it, which are copied whole."""


def columns() -> int:
    """Return the columns to write in: ``COLUMNS``, else those of the terminal, also where a stream is a pipe."""
    with suppress(ValueError):
        if (told := int(os.environ.get("COLUMNS", ""))) > 0:
            return max(told, LEAST)
    for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
        with suppress(OSError, ValueError, AttributeError):
            if stream is not None and (wide := os.get_terminal_size(stream.fileno()).columns) > 0:
                return max(wide, LEAST)
    return FALLBACK


def width(text: str) -> int:
    """Return the columns that a text takes: wide letters take two, marks above others none."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
               for one in text)


def fold(text: str, most: int) -> list[str]:
    """Return a text as lines of at most ``most`` columns, at least one; ends of lines in it stay."""
    if "\n" not in text and width(text) <= most:
        return [text]
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines.append("")
        for word in paragraph.split(" "):
            joined = f"{lines[-1]} {word}" if lines[-1] else word
            if width(joined) <= most:
                lines[-1] = joined
            else:
                first, *more = _broken(word, most)
                lines[-1:] = [lines[-1], first] if lines[-1] else [first]
                lines += more
    return lines


def prose(text: str, most: int) -> str:
    """Return sentences with lines of at most ``most`` columns, where no word or command in them is wider."""
    lines = []
    for line in text.split("\n"):
        if width(line) <= most:
            lines.append(line)
            continue
        rows = [line[: len(line) - len(line.lstrip())]]  # as far in as it began
        for piece in _PIECES.findall(line):
            joined = f"{rows[-1]} {piece}" if rows[-1].strip() else rows[-1] + piece
            rows[-1:] = [joined] if width(joined) <= most or not rows[-1].strip() else [rows[-1], piece]
        lines += rows
    return "\n".join(lines)


def _broken(word: str, most: int) -> list[str]:
    """Return a word in pieces that fit, as few as can be; whole where it fits."""
    if width(word) <= most:
        return [word]
    pieces = [""]
    for part in _PARTS.findall(word):
        if width(pieces[-1] + part) <= most:
            pieces[-1] += part
            continue
        pieces += [""] if pieces[-1] else []
        for letter in part:
            if width(pieces[-1] + letter) > most and pieces[-1]:
                pieces.append("")
            pieces[-1] += letter
    return pieces
