"""Run the command line in this process on damaged files, and judge what it says."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kdcli.cli import app

Judge = Callable[..., int]
_SIGNALS = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Judge]:
    """A function that runs a command and refuses every answer but success and one line with a documented code."""
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def call(what: str, *arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["kdcli", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            app.main()
        out, err = capfd.readouterr()
        code = stopped.value.code
        told = [line for line in err.splitlines() if line.startswith("kdcli: ")]
        assert code in (0, 1, 2, 3, 4), f"{what}: code {code}: {err[-400:]}"
        assert len(told) == (0 if code in (0, 2) else 1), f"{what}: {err[-600:]}"
        assert not any("unexpected" in line for line in told), f"{what}: {err[-600:]}"
        assert "Traceback" not in err + out, f"{what}: {err[-2000:]}"
        return int(code or 0)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
