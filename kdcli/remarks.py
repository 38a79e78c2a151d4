"""What a reader of files has to say to whoever runs the command, though it knows nothing of commands.

A command listens; without a listener, as in a notebook, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[str], None]] = []


def remark(text: str) -> None:
    """Say one line to those who listen."""
    for tell in _listeners:
        tell(text)


@contextmanager
def heard(tell: Callable[[str], None]) -> Iterator[None]:
    """Listen within the block; the same line is told once."""
    told: set[str] = set()

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            tell(text)

    _listeners.append(once)
    try:
        yield
    finally:
        _listeners.remove(once)
