"""A stream that gives no more than is there, and a limit on how often it is asked: what a pickle costs is bounded.

A pickle announces lengths before it gives bytes, and a reader that believes them reserves memory for what never comes.
"""

from __future__ import annotations

import os
import pickle
from typing import IO

MOST_READS = 20_000_000
"""Pieces that a pickle may have; the largest checkpoints that people share have a few hundred thousand."""


class Bounded:
    """The rest of a stream, from where it stands to its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        here = stream.tell()
        self._stream, self._left, self._reads = stream, stream.seek(0, os.SEEK_END) - here, 0
        stream.seek(here)

    def read(self, length: int) -> bytes:
        """Return that many bytes.

        Raises:
            EOFError: there are fewer. UnpicklingError: more pieces than any checkpoint has.
        """
        self._reads += 1
        if self._reads > MOST_READS:
            raise pickle.UnpicklingError(f"more than {MOST_READS:,} pieces")
        if not 0 <= length <= self._left:
            raise EOFError(f"{length} bytes wanted where {self._left} are left")
        self._left -= length
        return self._stream.read(length)

    def readline(self) -> bytes:
        """Return the bytes up to the end of a line."""
        line = self._stream.readline(self._left)
        self._left -= len(line)
        return line
