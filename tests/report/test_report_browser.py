"""Reports in a headless Chromium: nothing is wider than the page, no word is broken, axe finds no error.

It needs Chromium (Debian: ``apt-get install chromium``; KDCLI_TEST_BROWSER names another), and for the last axe-core
(``python tests/report/get_axe.py``).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from get_axe import FILE
from report_pages import PAGES


def _driver() -> ModuleType:
    """Return the browser's driver, which lies with the tests of the examples."""
    path = Path(__file__).parents[1] / "examples" / "browser.py"
    spec = importlib.util.spec_from_file_location("browser_for_reports", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BROWSER = _driver()
pytestmark = pytest.mark.skipif(BROWSER.found() is None, reason="no Chromium: apt-get install chromium")

BROKEN = """(() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [], range = document.createRange();
  for (let node; node = walk.nextNode();) {
    for (const token of node.data.matchAll(/\\S+/g)) {
      if (token[0].length > 24) continue;  // paths and hashes have to break somewhere
      for (const word of token[0].matchAll(/[A-Za-z]{2,}/g)) {
        range.setStart(node, token.index + word.index);
        range.setEnd(node, token.index + word.index + word[0].length);
        const tops = [...range.getClientRects()].filter(one => one.width > 0).map(one => one.top);
        if (tops.length && Math.max(...tops) - Math.min(...tops) > 4) found.push(word[0]);
      }
    }
  }
  return found;
})()"""
"""Words that stand on two lines."""
CUT = """[...document.querySelectorAll('body *')].filter(one => {
  const style = getComputedStyle(one);
  return one.closest('.scroll, svg') === null && style.display !== 'inline' && one.scrollWidth > one.clientWidth + 1;
}).map(one => one.tagName + ' ' + one.textContent.slice(0, 60))"""
"""What is wider than its box, but for boxes that scroll."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("2026-11-29_data-free-mobilenet")
    return {name: make(folder) for name, make in PAGES.items()}


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with BROWSER.browser() as one:
        yield one


def shown(page: Any, path: Path, width: int, *, dark: bool = False, height: int = 800, unfold: bool = True) -> None:
    theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    page.call("Emulation.setEmulatedMedia", features=theme)
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
    page.open(path.as_uri())
    if unfold:
        page.run("document.querySelectorAll('details').forEach(one => { one.open = true })")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1200, 800, 390])
def test_nothing_overflows_and_no_word_is_broken(page: Any, pages: dict[str, Path], name: str, width: int) -> None:
    shown(page, pages[name], width)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(CUT) == []
    assert page.run(BROKEN) == []
    assert page.trouble == [] and all(one.startswith(("file:", "data:")) for one in page.asked)


@pytest.mark.parametrize("name", ["run", "evaluation"])
def test_the_first_screen_holds_verdict_table_and_a_row_of_pictures(
    page: Any, pages: dict[str, Path], name: str
) -> None:
    shown(page, pages[name], 1200, unfold=False)
    for part in (".lead", "table", ".gallery"):
        top, bottom = page.run(f"(({{ top, bottom }}) => [top, bottom])"
                               f"(document.querySelector('{part}').getBoundingClientRect())")  # fmt: skip
        assert 0 <= top < bottom <= 800, part
    assert page.run("document.querySelectorAll('.gallery')[0].querySelectorAll('img').length") == 5
    assert page.run("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.run("document.querySelector('details table').checkVisibility({ contentVisibilityAuto: true })")


def test_a_study_says_which_arms_can_be_told_apart(pages: dict[str, Path]) -> None:
    text = pages["study"].read_text(encoding="utf-8")
    assert ("data-free (+0.050 [+0.040, +0.060]) is better than plain; noise (-0.300 [-0.310, -0.290]) is worse than "
            "plain; mixed-only (+0.002 [-0.008, +0.012]) is not told apart from plain (delta1, ") in text  # fmt: skip


@pytest.mark.skipif(not FILE.is_file(), reason="no axe-core: python tests/report/get_axe.py")
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_axe_finds_no_error(page: Any, pages: dict[str, Path], name: str, width: int, dark: bool) -> None:
    shown(page, pages[name], width, dark=dark)
    page.run(FILE.read_text(encoding="utf-8") + "; 0")
    said = page.run("axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map("
                    "one => [one.id, one.help, one.nodes.slice(0, 3).map(node => node.html.slice(0, 160))]))")
    assert said == []
