"""Standard output and error as every command writes to them: no controls but its own, no letter that stops it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

from kdcli.text import block


class Plain:
    """A stream of text that shows controls as escapes; whatever prints passes here, libraries and plugins too."""

    def __init__(self, stream: TextIO) -> None:
        self.whole = stream
        """The stream beneath, for what draws on the terminal."""

    def write(self, text: str) -> int:
        """Write a text; the number of its characters.

        Raises:
            TypeError: it is none, by which others tell a stream of text from one of bytes.
        """
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self.whole.write(block(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for text in lines:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


def install() -> None:
    """Put both streams behind ``Plain``; letters that the terminal's encoding lacks are escaped, too."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, Plain):
            continue
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, Plain(stream))


def whole(stream: TextIO) -> TextIO:
    """Return the stream that a progress display may move the cursor of."""
    return cast(TextIO, getattr(stream, "whole", stream))
