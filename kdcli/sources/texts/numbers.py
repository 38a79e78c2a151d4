"""Numbers that stand in text files: finite and in range, or refused with their line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from kdcli.errors import DataError
from kdcli.files import LFS_BEGINS

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")
FOCAL = (1.0, 1e6)
"""Focal lengths in pixels that can be."""
CENTRE = (-1e6, 1e6)
"""Optical centres in pixels that can be."""


def number_of(word: str) -> float | None:
    """Return the number that a word is, also one that is not finite, or None."""
    try:
        return float(word)
    except ValueError:
        return None


def check_number(value: float, limits: tuple[float, float], what: str, where: str) -> float:
    """Return a number of a file that lies within limits.

    what: what it is, such as ``focal length``. where: file and line.

    Raises:
        DataError: it is not finite or not within the limits.
    """
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        raise DataError(f"{where} has {what} {value:g}; write a finite number of {low:g} to {high:g}")
    return value


def check_camera(values: Sequence[float], where: str) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy that a file gives in pixels.

    Raises:
        DataError: one of them is not finite or cannot be.
    """
    fx, fy, cx, cy = values
    for value in (fx, fy):
        check_number(value, FOCAL, "focal length", where)
    for value in (cx, cy):
        check_number(value, CENTRE, "optical centre", where)
    return fx, fy, cx, cy


def read_lines(path: Path, wanted: str) -> list[str]:
    """Return the lines of a text file, UTF-8 or with the mark of UTF-16 as Windows writes it.

    wanted: what the file should hold, for the message.

    Raises:
        DataError: it cannot be read, is no text, or a Git LFS pointer.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}); check the path") from None
    if content.startswith(LFS_BEGINS):
        raise DataError(f"'{path}' is a Git LFS pointer, not the file itself; run 'git lfs pull' in its repository")
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"'{path}' is not text in UTF-8; give a file of {wanted}") from None
    if _CONTROL.search(text):
        raise DataError(f"'{path}' is not text; give a file of {wanted}")
    # Not splitlines: it also breaks lines at signs that may stand in a name.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_camera(path: Path) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy of a file with a matrix of 3 x 3 or more, row by row or all on one line.

    Raises:
        DataError: it is no such matrix, or its numbers are not finite or cannot be.
    """
    rows: list[tuple[int, list[float]]] = []
    wrong = f"'{path}' is not a 3 x 3 matrix of numbers; correct it or remove it"
    for number, line in enumerate(read_lines(path, "3 x 3 numbers"), 1):
        words = line.replace(",", " ").replace(";", " ").split()
        if not words or words[0].startswith("#"):
            continue
        values = [number_of(word) for word in words]
        if None in values:
            raise DataError(wrong)
        rows.append((number, [value for value in values if value is not None]))
    if len(rows) == 1 and len(rows[0][1]) in (9, 16):
        (number, flat), side = rows[0], 3 if len(rows[0][1]) == 9 else 4
        rows = [(number, flat[i * side : (i + 1) * side]) for i in range(side)]
    if len(rows) < 2 or len(rows[0][1]) < 3 or len(rows[1][1]) < 3:
        raise DataError(wrong)
    for number, row in rows[:2]:
        for value in row:
            check_number(value, (-1e9, 1e9), "the number", f"'{path}' line {number}")
    (first, top), (_, second) = rows[0], rows[1]
    return check_camera((top[0], second[1], top[2], second[2]), f"'{path}' line {first}")
