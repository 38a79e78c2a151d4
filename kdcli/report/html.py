"""One-file HTML reports: no network, no scripts, every text escaped, pictures embedded.

A report is a title and sections; a section is a title and blocks. A content-security policy in the file itself keeps
it from loading anything.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kdcli.files import write_text
from kdcli.report.encoding import data_address, small
from kdcli.report.style import PAGE, STYLE
from kdcli.text import block as plain

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """What a reader wants first: sentences, the answer in the first of them."""

    sentences: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names and values, one line each."""

    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows below named columns; the first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image, embedded at its own size: a 3 x H x W tensor in 0..1, lossy where it is large, or a PNG's bytes."""

    image: Tensor | bytes
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Pictures side by side below a heading.

    wide: whether they are so wide that few go side by side. columns: so many in a row where the page has room; None: as
    many as fit.
    """

    pictures: Sequence[Picture]
    caption: str = ""
    wide: bool = False
    columns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Lines over a common axis, drawn as SVG: (x, y) points by name; points that are not finite are left out."""

    series: Mapping[str, Sequence[tuple[float, float]]]
    x_label: str = "step"
    y_label: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """An SVG element that ``kdcli.report.drawings`` made."""

    svg: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """What the colours of pictures mean. colours: evenly spaced, as CSS has them. marks: numbers below, evenly too."""

    colours: Sequence[str]
    marks: Sequence[str]
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Blocks that fold out below a line that says what they are."""

    summary: str
    blocks: Sequence[Block]


Block = Text | Lead | Facts | Table | Picture | Gallery | Curves | Drawing | Legend | Details


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what is below it. linked: whether the links at the top of the page lead to it."""

    title: str
    blocks: Sequence[Block]
    linked: bool = True


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a report atomically as one HTML file."""
    write_text(path, render(title, sections))


def render(title: str, sections: Sequence[Section]) -> str:
    """Return a report as HTML."""
    body = "\n".join(
        f'<section id="s{i}">\n<h2>{_escape(section.title)}</h2>\n'
        + "\n".join(_block(block) for block in section.blocks)
        + "\n</section>"
        for i, section in enumerate(sections)
    )
    links = [f'<a href="#s{i}">{_escape(one.title)}</a>' for i, one in enumerate(sections) if one.linked]
    index = f'<nav aria-label="Sections">{" ".join(links)}</nav>\n' if len(sections) >= _MANY else ""
    return PAGE.format(title=_escape(title), style=STYLE, index=index, body=body)


def _block(block: Block) -> str:
    match block:
        case Text():
            return f"<p>{_escape(block.text)}</p>"
        case Lead():
            first, *rest = block.sentences
            more = f"<p>{_escape(' '.join(rest))}</p>" if rest else ""
            return f'<div class="lead"><p><strong>{_escape(first)}</strong></p>{more}</div>'
        case Facts():
            rows = [
                f'<tr><th scope="row">{_escape(key)}</th><td>{_escape(value)}</td></tr>'
                for key, value in block.values.items()
            ]
            return f'<table class="facts">{"".join(rows)}</table>'
        case Table():
            return _table(block)
        case Picture():
            return _picture(block)
        case Gallery():
            heading = f"<h3>{_escape(block.caption)}</h3>" if block.caption else ""
            kind = "gallery wide" if block.wide else "gallery" if block.columns is None else "gallery row"
            columns = "" if block.columns is None else f' style="--columns: {block.columns}"'
            return f'{heading}<div class="{kind}"{columns}>{"".join(map(_picture, block.pictures))}</div>'
        case Curves():
            from kdcli.report.plots import svg

            return _plot(svg(block.series, block.x_label, block.y_label), block.caption)
        case Drawing():
            return _plot(block.svg, block.caption)
        case Legend():
            return _legend(block)
        case Details():
            inner = "\n".join(map(_block, block.blocks))
            return f"<details><summary>{_escape(block.summary)}</summary>\n{inner}\n</details>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_ARROW.sub(chr(0xA0), _escape(column))}</th>' for column in table.columns)
    rows = "\n".join("<tr>" + "".join(map(_cell, range(len(row)), row)) + "</tr>" for row in table.rows)
    inner = f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"
    return _figure(_scrolled(inner, f"Table: {', '.join(map(str, table.columns))}"), table.caption)


def _cell(place: int, value: object) -> str:
    if place == 0:
        return f'<th scope="row">{_escape(value)}</th>'
    found = _INTERVAL.fullmatch(str(value))
    if found is None:
        return f"<td>{_escape(value)}</td>"
    return f"<td>{_escape(found[1])} <small>{_escape(found[2])}</small></td>"


def _legend(legend: Legend) -> str:
    told = _escape(f"colours of {legend.about}: {legend.marks[0]} to {legend.marks[-1]}")
    marks = "".join(f"<span>{_escape(mark)}</span>" for mark in legend.marks)
    bar = f'<div class="bar" style="background: linear-gradient(to right, {", ".join(legend.colours)})"></div>'
    return (f'<div class="legend" role="img" aria-label="{told}"><span>{_escape(legend.about)}</span>'
            f'<div>{bar}<div class="marks">{marks}</div></div></div>')


def _picture(picture: Picture) -> str:
    given = picture.image
    if isinstance(given, bytes):
        source, coarse = data_address(given), False
    else:
        source, coarse = data_address(*small(given)), given.shape[-1] < _COARSE
    kind = ' class="coarse"' if coarse else ""
    return _figure(f'<img{kind} src="{source}" alt="{_escape(picture.caption or "picture")}">', picture.caption)


def _plot(svg: str, caption: str) -> str:
    return _figure(_scrolled(svg, caption or "Plot"), caption, ' class="plot"')


def _figure(content: str, caption: str, kind: str = "") -> str:
    below = f"<figcaption>{_escape(caption)}</figcaption>" if caption else ""
    return f"<figure{kind}>{content}{below}</figure>"


def _scrolled(content: str, label: str) -> str:
    """Return what may be wider than the page in a box that scrolls, with the keyboard too."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{_escape(label)}">{content}</div>'


def _escape(value: object) -> str:
    return html.escape("" if value is None else plain(value), quote=True)


_ARROW = re.compile(" (?=[\u2191\u2193]$)")
"""What stands before an arrow at the end of a column's name: they stay on one line."""
_INTERVAL = re.compile(r"(\S+) (\[[^\]]*\].*)")
"""A number with its interval."""
_COARSE = 200
"""Width in pixels below which a picture is enlarged with its pixels as they are."""
_MANY = 5
"""Sections from which on a page begins with links to them."""
