"""The header of lists that kdcli writes: what they hold, and a hash of it, so that a changed list is told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from kdcli.text import line
from kdcli.types import Finding

_FIRST = "# kdcli list v1"
_HASH = re.compile(r"^# sha256 of the lines below: ([0-9a-f]{64})$", re.MULTILINE)


def with_header(body: str, facts: Sequence[str]) -> tuple[str, str]:
    """Return the text of a list and the sha256 of its lines. facts: one a line, for people."""
    digest = _digest(body)
    header = [_FIRST, *(f"# {line(fact)}" for fact in facts), f"# sha256 of the lines below: {digest}"]
    return "\n".join(header) + "\n" + body, digest


def about_header(path: Path) -> list[Finding]:
    """Say that a list with such a header has other lines by now."""
    try:
        with path.open("rb") as stream:
            if stream.read(len(_FIRST)) != _FIRST.encode():
                return []
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # whoever reads it says so
        return []
    match = _HASH.search(text)
    if match is not None and _digest(text[match.end() + 1 :]) == match[1]:
        return []
    message = f"list '{path}' was changed since kdcli data split wrote it: its lines have another sha256 than it says"
    return [Finding(level="warning", message=message, path=str(path))]


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()
