"""The texts of an archive that may pass: names, and nothing that could be read as anything else."""

from __future__ import annotations

import re

NAME = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,400})?")
"""A name of a value in the graph; empty where a place leaves it open."""

WORDS = re.compile(r"(?!(?:.*\.)?__)[A-Za-z0-9_.]{0,1000}")
"""Dotted names of parameters and modules; no part of it begins with two underscores, as Python's own names do."""

TEXT = re.compile(r"[A-Za-z0-9 ,.:;>=<_+*/()-]{0,300}")
"""Arguments of operators, such as ``bilinear`` or the formula of an ``einsum``; no quotes, wherever they are put."""


class Refused(Exception):
    """Why a file is not opened, as the rest of a sentence that begins with its name."""


def fitting(pattern: re.Pattern[str], text: str) -> str:
    """Return the text.

    Raises:
        Refused: it does not fit the pattern.
    """
    if not pattern.fullmatch(text):
        raise Refused(f"holds the text '{text[:60]}' where a name belongs")
    return text
