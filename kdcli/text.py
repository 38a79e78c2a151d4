"""Text of files, plugins and their errors, made fit for a terminal or a line of a log.

A name can hold what moves the cursor, renames the window, turns the direction of writing or ends the line. All of that
is shown as an escape such as ``\\x1b``; letters of every language stay as they are.
"""

from __future__ import annotations

import re

LONG = 2000
"""Characters of a line of words."""

CELL = 400
"""Characters of one field among others."""

_UNFIT = (
    "\x00-\x1f\x7f-\x9f"  # controls, escape sequences among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    "\u2028\u2029\ufeff\ufff9-\ufffb\u2060-\u2064\U000e0000-\U000e007f"  # ends of lines, and what is not seen
    "\ud800-\udfff"  # bytes of a name that is not UTF-8
)
_ANY = re.compile(f"[{_UNFIT}]")
_OF_ONE = {"have": "has", "are": "is", "were": "was", "hold": "holds", "count": "counts", "end": "ends"}
_SEVERAL = re.compile(rf"^((?:[\w.-]+ ){{0,4}}?[\w.-]+?)s((?: below)?) ({'|'.join(_OF_ONE)})\b")
_ALSO = re.compile(rf"\band ({'|'.join(_OF_ONE)})\b")
_BUT_LAYOUT = re.compile(f"(?![\n\t])[{_UNFIT}]")


def line(text: object, most: int = LONG) -> str:
    """Return a text as one line without controls, its middle left out where it is longer than ``most``."""
    whole = str(text)
    if len(whole) > 8 * most:
        whole = whole[: 4 * most] + whole[-4 * most :]
    shown = _ANY.sub(_escaped, re.sub(r"[ \t\r\n\v\f]*[\t\r\n\v\f][ \t\r\n\v\f]*", " ", whole).strip())
    if len(shown) <= most:
        return shown
    end = most // 4  # what to do is said at the end
    return f"{shown[: most - end - 5]} ... {shown[-end:]}"


def counted(count: int, word: str) -> str:
    """Return how many there are of something: ``1 image``, ``2,000 images``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def agreeing(count: int, words: str) -> str:
    """Return how many of something do what the words say of several.

    ``images have no depth and are left out`` is of one ``1 image has no depth and is left out``.
    """
    if count == 1:
        words, quote, rest = words.partition("'")
        words = _SEVERAL.sub(lambda found: f"{found[1]}{found[2]} {_OF_ONE[found[3]]}", words, count=1)
        words = _ALSO.sub(lambda found: f"and {_OF_ONE[found[1]]}", words)
        words = words.replace(" their ", " its ") + quote + rest
    return f"{count:,} {words}"


def block(text: object) -> str:
    """Return a text without controls but tabs and ends of lines."""
    return _BUT_LAYOUT.sub(_escaped, str(text).replace("\r\n", "\n"))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # the byte itself
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
