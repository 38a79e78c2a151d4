"""What is said on the way out of an interruption: what is kept of a command's work, and what the same command does.

A command says once what it writes, by ``Session.keeps`` with one of these or words of its own; whoever ends it asks for
the sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Kept = Callable[[], str]
"""Gives one sentence without a full stop; empty where all is said."""

ANEW = "the same command begins anew"
GOES_ON = "the same command goes on"
NOTHING = f"nothing was written; {ANEW}"


def nothing() -> str:
    """Say that nothing is kept, as of a command that writes nothing, or nothing yet."""
    return NOTHING


def going_on(where: Callable[[], Path | None]) -> Kept:
    """Return what is said where the work itself is kept and gone on with.

    where: gives the file or folder that holds what was done, if anything was.
    """

    def told() -> str:
        path = where()
        return NOTHING if path is None or not path.exists() else f"what was done is kept in {path}; {GOES_ON}"

    return told


def files(*paths: Path | None) -> Kept:
    """Return what is said of files that come to be whole or not at all; call it before they are written."""
    before = {path: _state(path) for path in paths if path is not None}

    def told() -> str:
        made = [path for path, state in before.items() if _state(path) not in (None, state)]
        lacking = [path for path in before if path not in made]
        if not made:
            return NOTHING
        whole = f"{_named(made)} {'was' if len(made) == 1 else 'were'} written whole"
        return f"{whole}, {_named(lacking)} not; {ANEW}" if lacking else whole

    return told


def _state(path: Path) -> tuple[int, int] | None:
    """Return what differs after a file, or a folder, was written anew; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _named(paths: list[Path]) -> str:
    return " and ".join(str(path) for path in paths)
