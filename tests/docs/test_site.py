"""The documentation as a site: it is built strictly, holds every page, and fetches nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from doc_blocks import PAGES, ROOT
from typer.main import get_command

import kdcli
from kdcli.cli.app import app

FETCHING = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src"}


class Reader(HTMLParser):
    """What a page fetches when it is opened, and what stands in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.fetched += [value for name, value in attrs if name == FETCHING.get(tag) and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def place(page: Path) -> str:
    """Return where a page of the repository is in the site."""
    inside = page.relative_to(ROOT).with_suffix(".html").as_posix().removeprefix("docs/")
    return re.sub(r"README\.html$", "index.html", inside)


def test_every_page_is_in_the_site_and_no_script_of_docs(site: Path) -> None:
    for page in PAGES:
        heading = re.search(r"^# (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert heading, page
        assert heading[1].replace("`", "") in Reader(site / place(page)).text, page
    assert not [path.name for path in (ROOT / "docs").glob("*.py") if (site / path.name).exists()]


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        fetched = Reader(page).fetched
        assert fetched or "examples" in page.parts, page
        assert not [address for address in fetched if re.match(r"(\w+:)?//", address)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(\w+:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_the_pages_on_commands_are_their_help(site: Path) -> None:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        told = Reader(site / "commands" / f"{name}.html").text
        for path, one in _walk(command, f"kdcli {name}"):
            assert path in told
            for parameter in one.params:
                if getattr(parameter, "help", None) and not parameter.hidden:
                    assert " ".join(parameter.help.replace("`", "").split()) in told, (path, parameter.name)


def _walk(command: Any, path: str) -> list[tuple[str, Any]]:
    below = [pair for name, one in getattr(command, "commands", {}).items() for pair in _walk(one, f"{path} {name}")]
    return [(path, command), *below]


def test_the_page_for_python_is_what_docstrings_say(site: Path) -> None:
    told = " ".join(Reader(site / "from-python.html").text.split())
    for name in set(kdcli.__all__) - {"__version__"}:
        assert f"{name}(" in told
    assert "Distil, evaluate beside teacher and twin, and export." in told and "AFFINE_DISPARITY" in told


def test_links_of_the_repository_are_links_of_the_site(site: Path) -> None:
    shown = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="training.html"' in shown and "docs/training.md</a>" in shown and 'href="docs/' not in shown
    assert 'href="examples/index.html"' in (site / "export.html").read_text(encoding="utf-8")
    assert r"scaled:[A|B]" in Reader(site / "names.html").text  # no back-slash of GitHub's tables


def test_a_link_that_leads_nowhere_is_an_error(site: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# One\n\n[there](two.md)\n", encoding="utf-8")
    kept = [part for part in re.split(r"\n(?=\w)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
            if part.startswith(("site_name", "validation"))]
    (tmp_path / "mkdocs.yml").write_text("\n".join(kept), encoding="utf-8")
    told = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=120, check=False)
    assert told.returncode != 0 and "two.md" in told.stderr
