"""A headless Chromium that tests drive by its own protocol, over a pair of pipes: nothing but the browser is needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
AT_3_AND_4 = "import os, sys; [os.dup2(int(sys.argv[i]), i + 2) for i in (1, 2)]; os.execv(sys.argv[3], sys.argv[3:])"
"""Where the browser reads and writes."""
PATIENCE = 60
"""Seconds that a busy machine is given for one answer."""


def found() -> str | None:
    """Return where a Chromium is; None where there is none."""
    named = os.environ.get("KDCLI_TEST_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page of a browser. ``trouble``: what went wrong in it. ``asked``: the addresses that it asked for."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in, self._rest, self._number = to_browser, from_browser, b"", 0
        self._session: str | None = None
        self.trouble: list[str] = []
        self.asked: list[str] = []
        made = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=made, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Network.setCacheDisabled", cacheDisabled=True)

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Ask the browser for something and return its answer."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": given}
        if self._session is not None:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._message()
            if told.get("id") == self._number:
                assert "error" not in told, (method, told)
                return dict(told["result"])
            self._note(told)

    def open(self, address: str) -> None:
        """Go to an address and wait until its page is whole."""
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return what an expression of JavaScript gives, or its promise holds."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, script: str) -> Any:
        """Return what an expression gives as soon as that is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if given := self.run(script):
                return given
            time.sleep(0.1)
        raise AssertionError(f"'{script}' never came true; the page says {self.text('#status')!r}; {self.trouble}")

    def text(self, selector: str) -> str:
        """Return what a part of the page says."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''"))

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file where the page asks for one."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def picture(self, path: Path, width: int, *, dark: bool = False) -> None:
        """Write what the whole page looks like at a width."""
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=theme)
        shape = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **shape)
        made = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(made["data"]))

    def _note(self, told: dict[str, Any]) -> None:
        given = told.get("params", {})
        if told.get("method") == "Network.requestWillBeSent":
            self.asked.append(given["request"]["url"])
        if told.get("method") == "Runtime.consoleAPICalled" and given["type"] in ("warning", "error"):
            self.trouble.append(str(given["args"]))
        if told.get("method") == "Runtime.exceptionThrown":
            self.trouble.append(str(given["exceptionDetails"]))
        if told.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.trouble.append(str(given["entry"]))

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select([self._in], [], [], PATIENCE)[0], "the browser does not answer"
            more = os.read(self._in, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        one, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(one))


@contextmanager
def browser(*options: str) -> Iterator[Page]:
    """Give a page in a browser of its own, without network beyond this machine, which ends with the block."""
    path = found()
    assert path is not None
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            sys.executable, "-c", AT_3_AND_4, str(to_read), str(from_write), path, "--headless=new", "--no-sandbox",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", *options,
        ]  # fmt: skip
        process = subprocess.Popen(command, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        os.close(to_read)
        os.close(from_write)
        try:
            yield Page(to_write, from_read)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(to_write)
            os.close(from_read)
