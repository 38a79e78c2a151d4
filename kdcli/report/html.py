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
    """Pictures side by side below a heading."""

    pictures: Sequence[Picture]
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Lines over a common axis, drawn as SVG: (x, y) points by name; points that are not finite are left out."""

    series: Mapping[str, Sequence[tuple[float, float]]]
    x_label: str = "step"
    y_label: str = ""
    caption: str = ""


Block = Text | Facts | Table | Picture | Gallery | Curves


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what is below it."""

    title: str
    blocks: Sequence[Block]


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a report atomically as one HTML file."""
    write_text(path, render(title, sections))


def render(title: str, sections: Sequence[Section]) -> str:
    """Return a report as HTML."""
    body = "\n".join(
        f"<section>\n<h2>{_escape(section.title)}</h2>\n"
        + "\n".join(_block(block) for block in section.blocks)
        + "\n</section>"
        for section in sections
    )
    return _PAGE.format(title=_escape(title), style=_STYLE, body=body)


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
        case Facts():
            rows = "".join(f"<tr><th>{_escape(k)}</th><td>{_escape(v)}</td></tr>" for k, v in block.values.items())
            return f'<table class="facts">{rows}</table>'
        case Table():
            return _table(block)
        case Picture():
            return _picture(block)
        case Gallery():
            heading = f"<h3>{_escape(block.caption)}</h3>" if block.caption else ""
            return f'{heading}<div class="gallery">{"".join(map(_picture, block.pictures))}</div>'
        case Curves():
            from kdcli.report.plots import svg

            return _figure(svg(block.series, block.x_label, block.y_label), block.caption)


def _table(table: Table) -> str:
    head = "".join(f"<th>{_escape(column)}</th>" for column in table.columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<{tag}>{_escape(cell)}</{tag}>" for tag, cell in zip(_tags(row), row, strict=True)) + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{_escape(table.caption)}</caption>" if table.caption else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _tags(row: Sequence[object]) -> list[str]:
    return ["th", *["td"] * (len(row) - 1)][: len(row)]


def _picture(picture: Picture) -> str:
    data = picture.image if isinstance(picture.image, bytes) else png(picture.image)
    source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return _figure(f'<img src="{source}" alt="{_escape(picture.caption)}">', picture.caption)


def _figure(content: str, caption: str) -> str:
    below = f"<figcaption>{_escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{content}{below}</figure>"


def _escape(value: object) -> str:
    return html.escape("" if value is None else plain(value), quote=True)


_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .7rem 0; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
thead th { border-bottom: 1px solid; } tbody th { font-weight: 600; }
.facts th { font-weight: 400; opacity: .7; white-space: nowrap; }
.gallery { display: flex; flex-wrap: wrap; gap: .7rem; } figure { margin: .4rem 0; }
img { max-width: 100%; display: block; } .gallery img { width: 18rem; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; } .gallery figcaption { max-width: 18rem; }
svg { max-width: 100%; height: auto; }
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
