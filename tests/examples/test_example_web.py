"""The web page in a headless Chromium: it shows what the example in Python gives, and says what is amiss.

It needs Chromium (Debian: ``apt-get install chromium``; KDCLI_TEST_BROWSER names another) and onnxruntime-web beside
the page (``python examples/web/get_runtime.py``). Nothing beyond this machine is asked for anything.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from example_nets import EXAMPLES, NEAR, Small, far, python_example, room, write
from PIL import Image

from kdcli.exporters import export

WEB = EXAMPLES / "web"
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
GPU = "--enable-unsafe-webgpu"
"""Gives a machine without a GPU one that is computed."""
SHOWN = "import('./page.js').then(({ shown }) => %s)"
DONE = SHOWN % "shown.depth !== null && shown.depth.length"

pytestmark = [
    pytest.mark.skipif(browser.found() is None, reason="no Chromium: apt-get install chromium"),
    pytest.mark.skipif(not (WEB / "ort").is_dir(), reason="no onnxruntime-web: python examples/web/get_runtime.py"),
]


@pytest.fixture(scope="module")
def site(onnx_file: Path, photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the address and the folder of the page, with a student and a picture that was rendered just now."""
    folder = tmp_path_factory.mktemp("site")
    for file in WEB.iterdir():
        if file.suffix in (".html", ".css", ".js"):
            shutil.copy(file, folder)
    (folder / "ort").symlink_to(WEB / "ort")
    shutil.copy(onnx_file, folder / "model.onnx")
    shutil.copy(photo, folder / "scene.png")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", folder
    server.shutdown()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def page() -> Iterator[browser.Page]:
    with browser.browser(*CAMERA) as one:
        yield one


@pytest.fixture(autouse=True)
def _no_trouble(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test but those that ask for it leaves an error or a warning in the page's console."""
    yield
    if "page" in request.fixturenames:
        told = request.getfixturevalue("page").trouble
        seen, told[:] = list(told), []
        assert not seen


def depth_in(page: browser.Page) -> np.ndarray:
    """Return the map that is on the page, H x W."""
    height, width = page.run(SHOWN % "[shown.picture.height, shown.picture.width]")
    return np.array(page.run(SHOWN % "[...shown.depth]"), np.float32).reshape(height, width)


def pixels_of(page: browser.Page, canvas: str) -> np.ndarray:
    """Return what a canvas shows, H x W x 3."""
    asked = f"(c => [c.height, c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])({canvas})"
    height, width, *rgba = page.run(asked)
    return np.array(rgba).reshape(height, width, 4)[..., :3]


def test_the_page_shows_what_python_gives(
    page: browser.Page, site: tuple[str, Path], picture: np.ndarray, expected: np.ndarray
) -> None:
    page.open(site[0] + "?runtime=wasm")
    page.wait(DONE)
    assert far(depth_in(page), expected) < NEAR
    page.wait("document.querySelector('#status').textContent === 'This is a simulated room.'")
    assert np.array_equal(pixels_of(page, "document.querySelector('#picture')"), picture)
    painted = python_example().coloured(expected, "metric").astype(int)
    assert np.abs(pixels_of(page, "document.querySelector('#depth')") - painted).max() <= 6  # of a table of 256 colours
    own = (site[0], "data:", "blob:")
    assert f"{site[0]}ort/ort.wasm.min.mjs" in page.asked and all(one.startswith(own) for one in page.asked)
    assert page.text("#ran") == "CPU (WASM)" and page.text("#seen") == "64 x 96"
    assert page.text("#network").endswith(" ms") and page.text("#frame").endswith(" ms")
    assert "0.1 to 10 m" in page.text("#about") and "Apache-2.0" in page.text("#about")
    ticks = [float(text) for text in re.findall(r"[\d.]+(?= m)", page.text("#ticks"))]
    assert ticks == sorted(ticks) and len(ticks) == 5
    assert expected.min() * 0.99 <= ticks[0] < ticks[-1] <= expected.max() * 1.01


def test_depth_is_read_by_keyboard_and_by_pointing(
    page: browser.Page, site: tuple[str, Path], expected: np.ndarray
) -> None:
    page.open(site[0] + "?runtime=wasm")
    page.wait(DONE)
    page.run("document.querySelector('#depth').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft")
    assert page.text("#reading") == f"{float(f'{expected[120, 156]:.3g}'):g} m at 156, 120"
    box = page.run("(({ left, top, width, height }) => [left, top, width, height])"
                   "(document.querySelector('#depth').getBoundingClientRect())")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + box[2] * 0.1002, y=box[1] + box[3] * 0.5002)
    assert page.text("#reading").endswith(" at 32, 120")


def test_a_photograph_is_chosen(page: browser.Page, site: tuple[str, Path], onnx_file: Path, tmp_path: Path) -> None:
    page.open(site[0] + "?runtime=wasm")
    page.wait(DONE)
    photo = room(2, "150x220")
    page.choose("#photograph", write(photo, tmp_path / "mine.png"))
    page.wait("document.querySelector('#status').textContent === 'This is mine.png.'")
    assert far(depth_in(page), python_example().DepthFile(str(onnx_file), 1)(photo)) < NEAR
    (tmp_path / "text.png").write_text("no picture")
    page.choose("#photograph", tmp_path / "text.png")
    page.wait("document.querySelector('#status.wrong') !== null")
    assert page.text("#status") == "text.png is no picture that this browser can read."
    page.trouble.clear()


def test_files_that_take_bytes_and_have_no_unit(
    page: browser.Page, site: tuple[str, Path], picture: np.ndarray
) -> None:
    file = site[1] / "bytes.onnx"
    export(Small("affine_disparity", 1.0).eval(), None, file, size=(64, 96), input="uint8", verify=False)
    page.open(site[0] + "?runtime=wasm&model=bytes.onnx")
    page.wait(DONE)
    assert far(depth_in(page), python_example().DepthFile(str(file), 1)(picture)) < 0.02  # see the one in Python
    assert "not to be read as distances" in page.text("#about") and " m" not in page.text("#ticks")


def test_the_camera(page: browser.Page, site: tuple[str, Path]) -> None:
    page.open(site[0] + "?runtime=wasm")
    page.wait(DONE)
    page.run("document.querySelector('#camera').click()")
    page.wait("document.querySelector('#camera').getAttribute('aria-pressed') === 'true'")
    page.wait(SHOWN % "shown.picture.width === 640")
    page.run(SHOWN % "{ window.before = shown.depth }")
    page.wait(SHOWN % "shown.depth.some((value, i) => Math.abs(value - window.before[i]) > 1e-3)")
    page.run("document.querySelector('#camera').click()")
    page.wait("document.querySelector('#status').textContent === 'The camera is off.'")
    still = depth_in(page)
    time.sleep(0.5)
    assert np.array_equal(depth_in(page), still)


def test_what_is_missing_or_wrong_is_said(page: browser.Page, site: tuple[str, Path], tmp_path: Path) -> None:
    page.open(site[0] + "?model=none.onnx")
    page.wait("document.querySelector('#status.wrong') !== null")
    assert "kdcli export RUN --out none.onnx" in page.text("#status")
    page.choose("#model", site[1] / "model.onnx")
    page.wait(DONE)
    for content, told in ((b"\x08\x07", "does not say what its numbers mean"), (b"text", "no ONNX file"),
                          ((site[1] / "model.onnx").read_bytes()[:-100], "ends in the middle")):  # fmt: skip
        (tmp_path / "wrong.onnx").write_bytes(content)
        page.choose("#model", tmp_path / "wrong.onnx")
        page.wait(f"document.querySelector('#status').textContent.includes({told!r})")
    (site[1] / "ort").rename(site[1] / "elsewhere")
    try:
        page.open(site[0])
        page.wait("document.querySelector('#status.wrong') !== null")
        assert "python get_runtime.py" in page.text("#status")
    finally:
        (site[1] / "elsewhere").rename(site[1] / "ort")
    page.trouble.clear()


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_it_can_be_read_everywhere(
    width: int, dark: bool, page: browser.Page, site: tuple[str, Path], tmp_path: Path
) -> None:
    page.open(site[0] + "?runtime=wasm")
    page.wait(DONE)
    page.picture(tmp_path / "page.png", width, dark=dark)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    bright = np.asarray(Image.open(tmp_path / "page.png").convert("L"))[:, :8].mean()
    assert bright < 60 if dark else bright > 200
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {(one["role"]["value"], one["name"]["value"]) for one in tree if one.get("name", {}).get("value")}
    wanted = {("button", "Simulated room"), ("button", "Camera"), ("heading", "Depth in the browser")}
    assert wanted <= named
    controls = ("button", "combobox", "img", "image", "textbox")
    assert not [one for one in tree if one["role"]["value"] in controls and not one.get("name", {}).get("value")]


@pytest.mark.slow
def test_on_a_gpu_it_gives_the_same(site: tuple[str, Path], expected: np.ndarray) -> None:
    with browser.browser(GPU) as page:
        page.open(site[0])
        page.wait(DONE)
        if page.text("#ran") != "GPU (WebGPU)":
            pytest.skip("this browser has no WebGPU here, not even a computed one")
        assert far(depth_in(page), expected) < NEAR


def test_the_bundled_picture_is_the_simulators() -> None:
    bundled = np.asarray(Image.open(WEB / "scene.png").convert("RGB")).astype(int)
    assert np.abs(bundled - room(7)).max() <= 1
