"""Whole list files. Lines that differ in digits only have their fields at the same places: those are found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdcli.errors import DataError
from kdcli.sources.texts.lines import FORM, Line, focal_of, header_of, line_of, split_line
from kdcli.sources.texts.numbers import read_lines

Cut = tuple[int, int]
"""Where a field stands in a line: from, up to."""

_ALIKE = str.maketrans("023456789", "111111111")
"""Not to 0, which is no focal length."""
_KINDS = 1 << 16
"""Most kinds of lines whose fields are remembered."""


def read_list(path: Path) -> list[Line]:
    """Read lines of ``image [depth|None] [mask or other file ...] [focal]``; ``#`` comments are skipped.

    Fields are set off by blanks, tabs, commas or semicolons; with the last three, or in quotes, or where every name
    has an ending, names may hold blanks. Back-slashes count as slashes. A first line without any file may name the
    columns (``image,depth,mask,focal``); columns of other names are not used.

    Raises:
        DataError: the file is missing, empty, no text, or a line does not have this form.
    """
    lines: list[Line] = []
    columns: list[str] | None = None
    plans = Plans()
    texts = read_lines(path, f"lines of {FORM}")
    kinds = "\n".join(texts).translate(_ALIKE).split("\n")
    for number, (text, kind) in enumerate(zip(texts, kinds, strict=True), 1):
        if (line := plans.line(text, kind, number, path)) is not None:
            lines.append(line)
            continue
        fields = split_line(text)
        if not fields:
            continue
        if columns is None and not lines and (columns := header_of(fields)) is not None:
            continue
        where = f"'{path}' line {number}"
        lines.append(line_of(fields, columns, number, where))
        plans.learn(kind, columns)
    if not lines:
        raise DataError(f"list '{path}' names no image; write lines of {FORM}")
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where the fields of a line are that it uses."""

    image: Cut
    depth: Cut | None
    focal: Cut | None
    mask: Cut | None
    others: tuple[Cut, ...]


class Plans:
    """The plans of kinds of lines."""

    def __init__(self) -> None:
        self._known: dict[str, Plan | None] = {}
        self._focal: dict[str, float] = {}

    def line(self, text: str, kind: str, number: int, path: Path) -> Line | None:
        """Return the line that a text is, or None where its kind has no plan. kind: the text with its digits alike.

        Raises:
            DataError: its focal length cannot be.
        """
        plan = self._known.get(kind)
        if plan is None:
            return None
        if "\\" in text:
            text = text.replace("\\", "/")
        depth, mask, focal = plan.depth, plan.mask, None
        if plan.focal is not None:  # most lists have few of them
            word = text[plan.focal[0] : plan.focal[1]]
            focal = self._focal.get(word)
            if focal is None:
                focal = self._focal[word] = focal_of(word, f"'{path}' line {number}")
        return Line(
            image=text[plan.image[0] : plan.image[1]], depth=text[depth[0] : depth[1]] if depth else None, focal=focal,
            mask=text[mask[0] : mask[1]] if mask else None,
            others=tuple([text[begin:end] for begin, end in plan.others]) if plan.others else (), number=number,
        )

    def learn(self, kind: str, columns: Sequence[str] | None) -> None:
        """Find the plan of a kind of lines, if it is a new one; it may have none."""
        if kind not in self._known and len(self._known) < _KINDS:
            self._known[kind] = _plan(kind, columns)


class _Field(str):
    """A field that knows where it stands in its line."""

    at: Cut


def _plan(kind: str, columns: Sequence[str] | None) -> Plan | None:
    fields, end = list[_Field](), 0
    for text in split_line(kind):
        begin = kind.replace("\\", "/").find(text, end)
        if begin < 0:  # blanks inside of a name, which are put together as one
            return None
        end = begin + len(text)
        field = _Field(text)
        field.at = begin, end
        fields.append(field)
    try:
        line = line_of(fields, columns, 0, "")
    except DataError:  # each line itself says what is wrong with it
        return None
    last = fields[-1 if columns is None else columns.index("focal")] if line.focal is not None else None
    used = (line.image, line.depth, line.mask, last, *line.others)
    if not all(field is None or isinstance(field, _Field) for field in used):
        return None
    image, depth, mask, focal, *others = (field.at if isinstance(field, _Field) else None for field in used)
    return None if image is None else Plan(
        image=image, depth=depth, focal=focal, mask=mask, others=tuple(cut for cut in others if cut is not None)
    )
