"""Whether a file is Python at all, which neither imports nor runs it."""

from __future__ import annotations

import ast
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

_HEAD = 16
"""Bytes before the code in a ``.pyc``: magic number, flags, time and size of its source (PEP 552)."""


def no_python(file: Path) -> str | None:
    """Return in one line why a source file cannot be compiled, or cannot be read; None where nothing is wrong.

    What Python has compiled, as installers have it do, is not parsed once more.
    """
    if _compiled(file):
        return None
    try:
        ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        return f"SyntaxError: {getattr(error, 'msg', error)} ({file}, line {line})"
    except OSError as error:
        return f"{error.strerror}: {file}"
    return None


def _compiled(file: Path) -> bool:
    """Whether a compiled form of just this file lies where this Python would look for it."""
    try:
        with open(cache_from_source(file), "rb") as stream:  # noqa: PTH123 - a string
            head = stream.read(_HEAD)
        source = file.stat()
    except (OSError, NotImplementedError):  # none there; or a Python that keeps none
        return False
    number = (int(source.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    size = (source.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    return head == MAGIC_NUMBER + bytes(4) + number + size
