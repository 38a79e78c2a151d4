"""The standard streams, put back when foreign code closed or replaced them: results and messages go through them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

_NAMES = ("stdin", "stdout", "stderr")


class Streams:
    """The streams as they are now. ``put_back`` is to be called once: it also frees the copies kept."""

    def __init__(self) -> None:
        self._objects = {name: getattr(sys, name) for name in _NAMES}
        self._copies: list[tuple[int, int, tuple[int, int]]] = []
        for number in range(3):
            with suppress(OSError):  # one that is closed already stays closed
                self._copies.append((number, os.dup(number), _same_file(number)))

    def put_back(self) -> list[str]:
        """Restore descriptors and objects; return what had to be restored."""
        changed = []
        for number, copy, file in self._copies:
            try:
                there: tuple[int, int] | None = _same_file(number)
            except OSError:
                there = None
            if there != file:
                os.dup2(copy, number)
                changed.append(f"sys.{_NAMES[number]}")
            os.close(copy)
        for name, stream in self._objects.items():
            if getattr(sys, name) is not stream:
                setattr(sys, name, stream)
                changed.append(f"sys.{name}")
        for name in ("stdout", "stderr"):
            if getattr(self._objects[name], "closed", False):
                setattr(sys, name, _opened(name))
                setattr(sys, f"__{name}__", getattr(sys, name))
                changed.append(f"sys.{name}")
        return list(dict.fromkeys(changed))


def _opened(name: str) -> Any:
    """Return a new text stream on a descriptor that stays open when the stream is closed."""
    return open(_NAMES.index(name), "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def _same_file(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino
