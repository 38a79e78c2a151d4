"""What mkdocs is told of this repository: pages that lie outside docs/, links to them, and a reference."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import site_reference  # it lies beside this file: mkdocs looks there
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ("README.md", "CHANGELOG.md", "examples/**/README.md", "plugins/*/README.md", "plugins/*/docs/*.md")
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
_CODE_IN_TABLE = re.compile(r"`[^`\n]*`")
_SEARCH = 'data-md-component="search" role="dialog"'
_CORNER = re.compile(r"<th[^>]*></th>")
_OPTION = re.compile(r"(?<=>)--[\w-]+")
_PROMPT = '<span class="gp">$ </span>'


def on_config(config: Any) -> Any:
    """Put the pages on the commands into the navigation."""
    for part in config.nav:
        if "Commands" in part:
            part["Commands"] = site_reference.nav()
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie elsewhere with what they link to, and the reference."""
    for place, text in site_reference.pages().items():
        files.append(File.generated(config, place, content=text))
    outside = sorted(path for pattern in OUTSIDE for path in ROOT.glob(pattern))
    linked = {target for page in outside for target in _targets(page) if target.is_file() and target.suffix != ".md"}
    for path in (*outside, *sorted(one for one in linked if ROOT / "docs" not in one.parents)):
        files.append(File.generated(config, _place(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    if page.file.abs_src_path is None:  # made here
        return markdown
    source, place = Path(page.file.abs_src_path), page.file.src_uri

    def moved(link: re.Match[str]) -> str:
        target = _place((source.parent / link[1]).resolve())
        return posixpath.relpath(target, posixpath.dirname(place) or ".")

    # GitHub takes \| in code of a table for |, and Python-Markdown leaves the backslash in sight.
    lines = (
        _CODE_IN_TABLE.sub(lambda code: code[0].replace(r"\|", "|"), line) if line.startswith("|") else line
        for line in _LINK.sub(moved, markdown).splitlines()
    )
    return "\n".join(lines)


def on_page_content(html: str, **_: Any) -> str:
    """Leave prompts to the style sheet, so that nobody copies them, and keep options whole where lines are folded.

    Empty corners of tables are no headers.
    """
    told = html.replace(_PROMPT, '<span class="prompt"></span>')
    return _CORNER.sub("<td></td>", _OPTION.sub(r'<span class="option">\g<0></span>', told))


def on_post_page(output: str, **_: Any) -> str:
    """Name the search, which the theme leaves without a name for those who hear the page."""
    return output.replace(_SEARCH, f'{_SEARCH} aria-label="Search"')


def _targets(page: Path) -> list[Path]:
    return [(page.parent / link).resolve() for link in _LINK.findall(page.read_text(encoding="utf-8"))]


def _place(path: Path) -> str:
    """Return where a file of the repository is in the site."""
    inside = path.relative_to(ROOT).as_posix()
    return "index.md" if inside == "README.md" else inside.removeprefix("docs/")
