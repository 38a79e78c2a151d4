"""One-file HTML reports: no network, no scripts, every text escaped, pictures embedded.

A report is a title and sections; a section is a title and blocks. A content-security policy in the file itself keeps
it from loading anything.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kdcli.files import write_text
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
    """An image, embedded as PNG: a 3 x H x W tensor in 0..1, or a PNG's bytes."""

    image: Tensor | bytes
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Pictures side by side below a heading. wide: whether they are so wide that few go side by side."""

    pictures: Sequence[Picture]
    caption: str = ""
    wide: bool = False


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


Block = Text | Lead | Facts | Table | Picture | Gallery | Curves | Drawing


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
    index = f"<nav>{' '.join(links)}</nav>\n" if len(sections) >= _MANY else ""
    return _PAGE.format(title=_escape(title), style=_STYLE, body=index + body)


def png(image_3HW: Tensor) -> bytes:
    """Return a 3 x H x W tensor in 0..1 as the bytes of a PNG."""
    import torch
    from PIL import Image

    pixels = (image_3HW.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().contiguous()
    stream = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(stream, format="PNG")
    return stream.getvalue()


def _block(block: Block) -> str:
    match block:
        case Text():
            return f"<p>{_escape(block.text)}</p>"
        case Lead():
            first, *rest = block.sentences
            more = f"<p>{_escape(' '.join(rest))}</p>" if rest else ""
            return f'<div class="lead"><p><strong>{_escape(first)}</strong></p>{more}</div>'
        case Facts():
            rows = "".join(f"<tr><th>{_escape(k)}</th><td>{_escape(v)}</td></tr>" for k, v in block.values.items())
            return f'<div class="scroll"><table class="facts">{rows}</table></div>'
        case Table():
            return _table(block)
        case Picture():
            return _picture(block)
        case Gallery():
            heading = f"<h3>{_escape(block.caption)}</h3>" if block.caption else ""
            kind = "gallery wide" if block.wide else "gallery"
            return f'{heading}<div class="{kind}">{"".join(map(_picture, block.pictures))}</div>'
        case Curves():
            from kdcli.report.plots import svg

            return _figure(svg(block.series, block.x_label, block.y_label), block.caption, "plot")
        case Drawing():
            return _figure(block.svg, block.caption, "plot")


def _table(table: Table) -> str:
    head = "".join(f"<th>{_escape(column)}</th>" for column in table.columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<{tag}>{_escape(cell)}</{tag}>" for tag, cell in zip(_tags(row), row, strict=True)) + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{_escape(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
    )


def _tags(row: Sequence[object]) -> list[str]:
    return ["th", *["td"] * (len(row) - 1)][: len(row)]


def _picture(picture: Picture) -> str:
    data = picture.image if isinstance(picture.image, bytes) else png(picture.image)
    source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return _figure(f'<img src="{source}" alt="{_escape(picture.caption)}">', picture.caption)


def _figure(content: str, caption: str, kind: str = "") -> str:
    below = f"<figcaption>{_escape(caption)}</figcaption>" if caption else ""
    inner = f'<div class="scroll">{content}</div>' if kind else content
    return f"<figure{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{inner}{below}</figure>"


def _escape(value: object) -> str:
    return html.escape("" if value is None else plain(value), quote=True)


_MANY = 5
"""Sections from which on a page begins with links to them."""

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --mark: #3b7dd8; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 1.5rem auto 4rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .5rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: .95rem; margin: 1.4rem 0 .4rem; overflow-wrap: anywhere; } h2 { overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .88rem; padding-bottom: .4rem; }
a { color: inherit; text-decoration-color: var(--line); overflow-wrap: anywhere; }
p { max-width: 60rem; overflow-wrap: anywhere; }
.lead { border-left: 4px solid var(--mark); background: var(--soft); padding: .2rem 1.1rem; margin: .6rem 0 1rem; }
.lead strong { font-size: 1.12rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .7rem 0; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .25rem 1.1rem .25rem 0; text-align: left; vertical-align: top; }
td { white-space: nowrap; } th { overflow-wrap: break-word; max-width: 22rem; } tbody th { min-width: 7rem; }
thead th { border-bottom: 1px solid; vertical-align: bottom; } tbody th { font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid var(--soft); }
.facts th { font-weight: 400; opacity: .7; }
.facts td { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
figure { margin: .4rem 0; } figcaption { font-size: .85rem; opacity: .85; overflow-wrap: anywhere; max-width: 60rem; }
img { max-width: 100%; display: block; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 15rem), 1fr)); gap: .8rem; }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
.gallery img { width: 100%; } .gallery figure { margin: 0; min-width: 0; }
svg { max-width: 46rem; width: 100%; height: auto; display: block; } .plot svg { min-width: 30rem; }
.plot { margin-bottom: 1.2rem; }
@media (min-width: 62rem) { .plot { display: inline-block; width: 49%; vertical-align: top; } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
