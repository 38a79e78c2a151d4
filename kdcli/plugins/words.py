"""Foreign words on their way to a terminal: without control characters, and no longer than somebody would read."""

from __future__ import annotations


def plain(text: str, most: int = 300) -> str:
    """Return a text as one printable line of at most ``most`` characters."""
    if len(text) <= most and text.isprintable() and "  " not in text:
        return text.strip()
    return _cut("".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split())), most)


def paragraphs(text: str, most: int = 4000) -> str:
    """Return a text of several lines without what would move a cursor or change a colour."""
    lines = ("".join(letter if letter.isprintable() else "?" for letter in line) for line in text.split("\n"))
    return _cut("\n".join(line.rstrip() for line in lines), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
