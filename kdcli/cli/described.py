"""How ``kdcli plugins info`` shows what is known of plugins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdcli.cli.folding import columns, fold

if TYPE_CHECKING:
    from kdcli.plugins.info import Info


def described(found: Sequence[Info]) -> str:
    """Return descriptions in the terminal's width; what is both teacher and student is described once."""
    by_text: dict[tuple[str, ...], list[Info]] = {}
    for info in found:
        by_text.setdefault(tuple(_lines(info, columns())), []).append(info)
    return "\n\n".join("\n".join([_title(same), *text]) for text, same in by_text.items())


def _title(same: Sequence[Info]) -> str:
    first = same[0]
    return f"{', '.join(info.kind for info in same)} {first.name}  ({first.distribution} {first.version})"


def _lines(info: Info, wide: int) -> list[str]:
    """Return what stands below the title."""
    from kdcli.plugins.registry import DATA

    out = []
    if info.shadowed_by:
        out += fold(f"shadowed by {info.shadowed_by}; write {info.distribution}:{info.name}", wide)
    if info.error:
        return [*out, *fold(f"broken: {info.error}", wide)]
    out += [f"from {info.origin or info.value}", "", *_paragraphs(info.doc, wide)]
    for fact, value in info.facts.items():
        out += fold(f"{fact}: {value}", wide)
    if info.kind not in DATA:
        rest = (":LOCATION" if info.takes_location else "") + (",key=value..." if info.keys else "")
        out.append(f"spec: {info.name}{rest}")
        for key in info.keys:
            default = ", required" if key.default is None else f" = {key.default}"
            first, *more = fold(f"{key.name}: {key.type}{default}", wide - 6)
            out += [f"  {first}", *(f"      {line}" for line in more)]
    return out if out[-1] else out[:-1]


def _paragraphs(doc: str, wide: int) -> list[str]:
    """Return a docstring's paragraphs, each with an empty line after it; lists keep their lines."""
    out: list[str] = []
    for paragraph in doc.replace("``", "`").split("\n\n"):
        lines = paragraph.splitlines()
        if any(line[:1] in (" ", "-", "*", "|") for line in lines):
            out += [part for line in lines for part in fold(line, wide)]
        else:
            out += fold(" ".join(lines), wide)
        out.append("")
    return out if doc else []
