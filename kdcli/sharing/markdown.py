"""Markdown of words that are not ours: names and specs of a run can hold what would be read as markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kdcli.text import CELL, line

_MARKUP = re.compile(r"([\\`*_\[\]<>|#])")


def words(text: object) -> str:
    """Return a text as one line of plain words; a dash where there is none."""
    told = line("" if text is None else text, CELL)
    return _MARKUP.sub(r"\\\1", told) if told else "-"


def code(text: object) -> str:
    """Return a text as code, also within a table."""
    told = line("" if text is None else text, CELL).replace("|", "\\|")
    fence = "``" if "`" in told else "`"
    return f"{fence}{told}{fence}" if told else "-"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; cells are Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
