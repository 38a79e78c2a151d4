"""Names of files as plain strings, for sets of millions: endings, folders, and names that differ in digits only.

What a name says (words, the places of its numbers) does not depend on which digits it has. So such work is done once
for all names that are alike, and a set of frames has few kinds of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_RUN = re.compile(r"\d+")
_DIGITS = str.maketrans("123456789", "000000000")


def alike(text: str) -> str:
    """Return a text with each digit as 0: the same for all names that differ in digits only."""
    return text.translate(_DIGITS)


def prefix_of(folder: str | Path) -> str:
    """Return what stands before the name of each file in a folder, as ``str(folder / name)`` has it."""
    text = str(folder)
    return "" if text == "." else text if text.endswith(os.sep) else text + os.sep


def name_of(path: str) -> str:
    """Return the last part of a path."""
    return path[path.rfind(os.sep) + 1 :]


def ending_of(path: str) -> str:
    """Return the ending of a file in lower case, as ``Path.suffix`` has it."""
    name = name_of(path)
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def without_ending(path: str) -> str:
    """Return a path without its ending."""
    return without_endings((path,))[0]


def without_endings(paths: Iterable[str]) -> list[str]:
    """Return paths without their endings."""
    return [
        path[:dot] if path.rfind(os.sep) + 1 < (dot := path.rfind(".")) < len(path) - 1 else path for path in paths
    ]


def with_endings(paths: Iterable[str], endings: Iterable[str]) -> list[str]:
    """Return which files have one of these endings, lower case."""
    wanted = tuple(endings)
    return [path for path in paths if path.lower().endswith(wanted)]


def stem_of(path: str) -> str:
    """Return the last part of a path without its ending, as ``Path.stem`` has it."""
    return name_of(without_ending(path))


def natural_key(text: str) -> str:
    """Return a sort key in which numbers count as numbers: ``frame9`` before ``frame10``; of equal ones by digits."""
    return _RUN.sub(_counted, text)


def _counted(run: re.Match[str]) -> str:
    digits = run[0]
    counted = digits.lstrip("0") if digits.isascii() else str(int(digits)).lstrip("0")
    # Below any sign that a name can have: a number comes before a letter, a longer one after a shorter one.
    return f"\0{chr(len(counted))}{counted}\0{digits}\0"


def natural_order(names: Iterable[str]) -> list[str]:
    """Return names in natural order; numbers of one width need no keys."""
    found = list(names)
    if len(set(alike("\n".join(found)).split("\n"))) < 2:
        return sorted(found)
    return sorted(found, key=natural_key)
