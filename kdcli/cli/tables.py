"""Tables in the width of a terminal: cells are folded, and columns for which there is no room stand below their row.

Drawn without a library: a listing has to be there at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from kdcli.cli.folding import columns as terminal_columns
from kdcli.cli.folding import fold, width
from kdcli.cli.streams import whole

GAP = 2
"""Columns between two cells."""
INDENT = 4


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table on standard output, its names bold on a terminal unless ``NO_COLOR`` is set."""
    stream, wide = whole(sys.stdout), terminal_columns()
    bold = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    head, body = lines_of(names, list(rows), wide)
    told = [*(fold(title, wide) if title else []), *(f"\x1b[1m{text}\x1b[0m" if bold else text for text in head), *body]
    stream.write("".join(f"{text}\n" for text in told))
    stream.flush()


def lines_of(names: Sequence[str], rows: Sequence[Sequence[str]], wide: int) -> tuple[list[str], list[str]]:
    """Return the lines of the columns' names and those of the rows, each at most ``wide`` columns.

    Words stay whole as long as that can be: columns at the end that would break some stand below their row, as
    ``name: text``, where they hold anything.
    """
    cells = [names, *rows]
    for count in range(len(names), 0, -1):
        widths = _widths([row[:count] for row in cells], wide)
        if widths is not None or count == 1:
            break
    widths = widths or [wide]
    lines: list[str] = []
    for row in rows:
        lines += _row(row[:count], widths)
        for name, text in zip(names[count:], row[count:], strict=True):
            if text:
                lines += (" " * INDENT + part for part in fold(f"{name}: {text}", wide - INDENT))
    return _row(names[:count], widths), lines


def _widths(cells: Sequence[Sequence[str]], wide: int) -> list[int] | None:
    """Return the columns' widths, none wider than its text; None where they do not fit without broken words.

    In the last one a word that is wider than half of the table is broken all the same. What is left beyond the longest
    words goes to the narrowest column first, until it has its text on one line; a last one that stays narrow, with a
    word a line, is better off below.
    """
    ends = range(len(cells[0]))
    texts = [max(width(row[i]) for row in cells) for i in ends]
    room = wide - GAP * (len(texts) - 1)
    if sum(texts) <= room:
        return texts
    widths = [max(width(word) for row in cells for word in row[i].split(" ")) for i in ends]
    widths[-1] = min(widths[-1], wide // 2)
    if sum(widths) > room:
        return None
    for _ in range(room - sum(widths)):
        widths[min((i for i in ends if widths[i] < texts[i]), key=widths.__getitem__)] += 1
    return None if widths[-1] < min(texts[-1], wide // 4) else widths


def _row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of a row."""
    folded = [fold(text, wide) for text, wide in zip(row, widths, strict=True)]
    lines = []
    for i in range(max(map(len, folded))):
        parts = (cell[i] if i < len(cell) else "" for cell in folded)
        padded = (part + " " * (wide - width(part)) for part, wide in zip(parts, widths, strict=True))
        lines.append((" " * GAP).join(padded).rstrip())
    return lines
