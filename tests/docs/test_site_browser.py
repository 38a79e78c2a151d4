"""The site in a headless Chromium: nothing is wider than the page, nothing is asked of another machine, axe is content.

It needs Chromium and, for the last, axe-core: see tests/report/test_report_browser.py.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from doc_blocks import ROOT

AXE = ROOT / "tests" / "report" / "axe" / "axe.min.js"


def _driver() -> ModuleType:
    """Return the browser's driver, which lies with the tests of the examples."""
    spec = importlib.util.spec_from_file_location("browser_for_site", ROOT / "tests" / "examples" / "browser.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BROWSER = _driver()
pytestmark = pytest.mark.skipif(BROWSER.found() is None, reason="no Chromium: apt-get install chromium")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("width", "scheme", "names"), [
    (1200, "light", ("index.html", "commands/distill.html")),
    (390, "dark", ("questions.html", "real-photographs.html")),
])
def test_pages_fit_ask_nobody_else_and_can_be_used_by_all(
    address: str, width: int, scheme: str, names: tuple[str, ...]
) -> None:
    with BROWSER.browser() as page:
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        page.call("Emulation.setDeviceMetricsOverride", **screen)
        for name in names:
            page.open(f"{address}/{name}")
            assert page.run("document.body.dataset.mdColorScheme") == {"light": "default", "dark": "slate"}[scheme]
            assert page.run("document.documentElement.scrollWidth") <= width, name
            assert page.run("document.querySelectorAll('article .prompt').length") > 0, name
            if AXE.is_file():
                page.run(AXE.read_text(encoding="utf-8") + "; 0")
                said = page.run("axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations"
                                ".map(one => [one.id, one.nodes.slice(0, 3).map(node => node.html.slice(0, 160))]))")
                assert said == [], name
        assert page.trouble == [] and all(one.startswith((address, "data:")) for one in page.asked)
