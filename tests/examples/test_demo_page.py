"""The page of ``kdcli demo`` in a headless Chromium: it shows what the models say, and nobody else is asked.

It needs Chromium (Debian: ``apt-get install chromium``; KDCLI_TEST_BROWSER names another).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import browser
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from kdcli.colour import colourise
from kdcli.demo import Answers, Server
from kdcli.predict import cloud_of
from kdcli.types import DepthKind, Prediction

pytestmark = pytest.mark.skipif(browser.found() is None, reason="no Chromium: apt-get install chromium")
GL = ("--enable-unsafe-swiftshader", "--use-angle=swiftshader")
"""WebGL where there is no GPU."""


class _Brightness(nn.Module):
    """Depth = 1 + factor * brightness."""

    taps: ClassVar[dict[str, object]] = {}
    depth_range = (1.0, 9.0)

    def __init__(self, kind: DepthKind, factor: float) -> None:
        super().__init__()
        self.depth_kind, self.factor = kind, factor

    def forward(self, image: Tensor) -> Prediction:
        depth = 1 + self.factor * image.mean(1, keepdim=True)
        return Prediction(depth=depth, kind=self.depth_kind, valid=depth < 0.95 * (1 + self.factor))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ramp from black to white, with a bright block in its middle."""
    pixels = np.tile(np.linspace(0, 255, 160), (120, 1))
    pixels[40:80, 30:60] = 230
    path = tmp_path_factory.mktemp("picture") / "ramp.png"
    Image.fromarray(np.stack([pixels.astype(np.uint8)] * 3, -1)).save(path)
    return path


@pytest.fixture(scope="module")
def page(picture: Path) -> Iterator[browser.Page]:
    models = {
        "teacher:t": _Brightness(DepthKind.METRIC, 8), "runs/student": _Brightness(DepthKind.METRIC, 4),
        "relative": _Brightness(DepthKind.AFFINE_DISPARITY, 8),
    }
    server = Server(Answers(models, "cpu"))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    with browser.browser(*GL) as page:
        page.open(server.address)
        page.wait("document.querySelector('#map').options.length")
        page.choose("#file", picture)
        page.wait("document.querySelector('#status').textContent.includes('3 models.')")
        yield page
        assert not page.trouble
        assert all(address.startswith((server.address, "data:,", "blob:")) for address in page.asked)
    server.shutdown()
    server.server_close()


def _pixels(page: browser.Page, figure: int) -> np.ndarray:
    told = page.run(
        f"(() => {{ const c = document.querySelectorAll('figure canvas')[{figure}];"
        "return [c.width, c.height, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data] })()"
    )
    return np.array(told[2:], np.uint8).reshape(told[1], told[0], 4)[..., :3]


def _set(page: browser.Page, name: str, value: object) -> None:
    page.run(
        f"(() => {{ const one = document.querySelector('#{name}'); one.value = {json.dumps(value)};"
        "one.dispatchEvent(new Event('input')) })()"
    )


def _view(page: browser.Page, name: str) -> None:
    page.run(f"document.querySelector('[value={name}]').click()")


def test_models_stand_side_by_side_in_the_colours_of_kdcli(page: browser.Page, picture: Path) -> None:
    _view(page, "all")
    with Image.open(picture) as image:
        seen = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255
    assert np.abs(_pixels(page, 0).astype(int) - np.asarray(Image.open(picture))).max() <= 1
    limits = page.run("import('/page.js').then(({ shown }) => shown.said.map((one) => one.limits))")
    shared = (min(limits[0][0], limits[1][0]), max(limits[0][1], limits[1][1]))  # both speak of metres
    for number, (factor, ends) in enumerate(((8, shared), (4, shared), (8, tuple(limits[2])))):
        depth = 1 + factor * seen.mean(0)
        wanted = colourise(depth, depth < 0.95 * (1 + factor), limits=ends, disparity=number == 2)
        difference = np.abs(_pixels(page, number + 1).astype(int) - (255 * wanted.permute(1, 2, 0)).numpy())
        assert difference.max() <= 4 and difference.mean() < 1.5  # the page has 256 steps
    for width in (1200, 800, 390):
        shape = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        page.call("Emulation.setDeviceMetricsOverride", **shape)
        assert page.run("document.documentElement.scrollWidth") <= width


def test_sliders_change_the_range_and_the_button_brings_it_back(page: browser.Page) -> None:
    _view(page, "all")
    before, text = _pixels(page, 1), page.text("#high-value")
    _set(page, "high", 500)
    assert page.text("#high-value") == "2.92 m"  # half the way, in equal factors, from 1 to 8.55 m
    assert not np.array_equal(_pixels(page, 1), before)
    page.run("document.querySelector('#auto').click()")
    assert page.text("#high-value") == text and np.array_equal(_pixels(page, 1), before)
    _set(page, "map", "gray")
    assert np.ptp(_pixels(page, 1).astype(int), axis=-1).max() == 0
    _set(page, "map", "spectral")


def test_one_model_lies_beside_the_picture(page: browser.Page) -> None:
    _view(page, "one")
    _set(page, "model", 1)
    _set(page, "wipe", 50)
    assert page.text("#model-name") == "runs/student" and page.run("document.querySelectorAll('figure').length") == 1
    pixels = _pixels(page, 0).astype(int)
    assert np.ptp(pixels[:, :80], axis=-1).max() <= 1 < np.ptp(pixels[:, 80:150], axis=-1).min()


def test_points_are_those_of_kdcli_and_relative_depth_has_none(page: browser.Page, picture: Path) -> None:
    _view(page, "points")
    _set(page, "model", 0)
    with Image.open(picture) as image:
        seen = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255
    depth, focal = 1 + 8 * seen.mean(0), 160 / 2 / np.tan(np.radians(30))
    wanted = cloud_of(seen, depth, depth < 0.95 * 9, (focal, focal, 79.5, 59.5), metres=True)
    assert wanted.edges > 100
    space = "import('/page.js').then(({ shown }) => %s)"
    assert page.wait(space % "shown.space && shown.space.count") == len(wanted.xyz)
    places = page.run(space % "Array.from(shown.space.cloud.places)")
    assert np.allclose(np.array(places).reshape(-1, 3), wanted.xyz, atol=1e-4)
    if page.run(space % "Boolean(shown.space.gl)"):
        drawn = page.run(space % (
            "(() => { const { gl, canvas } = shown.space; shown.space.draw(); const p = new Uint8Array(4 * canvas.width"
            " * canvas.height); gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, p);"
            " return p.filter((v, i) => i % 4 === 3 && v).length / (p.length / 4) })()"
        ))
        assert drawn > 0.2
    _set(page, "model", 2)
    assert "no shape in space follows" in page.text("#status")
    assert page.run("document.querySelectorAll('figure').length") == 0


def test_what_is_no_picture_is_said(page: browser.Page, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"junk" * 100)
    page.choose("#file", tmp_path / "a.png")
    page.wait("document.querySelector('#status').classList.contains('bad')")
    assert page.text("#status").startswith("a.png: the file is not an image")
    assert any("400" in one for one in page.trouble)  # the browser notes it, too
    page.trouble.clear()
