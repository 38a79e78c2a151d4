"""Run the command line in this process on damaged files, and judge what it says and what it leaves behind."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from fuzz_finite import unfit_file, unfit_numbers

from kdcli.cli import app

Judge = Callable[..., int]
_SIGNALS = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
_PATIENCE = 100
"""Seconds after which a command is taken to hang; all take less than one."""
_OUTPUTS = ("--out", "--resume", "--csv", "--report", "--plot", "--preview")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are run in; the user's own folders lie beside it."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def judge(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Judge]:
    """A function that runs a command and refuses every answer but success and one line with a documented code.

    ``writes`` names what may change beside what ``--out`` and its like name. Where the code is 0, the numbers of
    ``--json`` and of all files that were written are finite.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    unheard = request.config.stash[fault_handler_stderr_fd_key]

    def call(what: str, *arguments: object, writes: tuple[str, ...] = ()) -> int:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["kdcli", *words])
        capfd.readouterr()
        there, told = _there(folder.parent), f"{what}\n$ kdcli {' '.join(map(repr, words))}\n"
        faulthandler.dump_traceback_later(_PATIENCE, exit=True, file=unheard)
        with warnings.catch_warnings(record=True) as heard, pytest.raises(SystemExit) as stopped:
            _as_python_begins()
            app.main()
        faulthandler.cancel_dump_traceback_later()
        out, err = capfd.readouterr()
        code = stopped.value.code
        lines = [line for line in err.splitlines() if line.startswith("kdcli: ")]
        assert code in (0, 1, 2, 3, 4), f"{told}code {code}: {err[-400:]}"
        assert len(lines) == (0 if code in (0, 2) else 1), f"{told}{err[-600:]}"
        assert not any(line.startswith("kdcli: unexpected ") for line in lines), f"{told}{err[-600:]}"
        assert not heard, f"{told}{[str(one) for one in heard]}"
        assert "Traceback" not in err + out, f"{told}{err[-2000:]}"
        assert not any(letter in out + err for letter in "\0\x1b\x07\x08"), f"{told}{(out + err)[-2000:]!r}"
        allowed = [*writes, *(words[at + 1] for at, word in enumerate(words[:-1]) if word in _OUTPUTS)]
        changed = [path for path, state in _there(folder.parent).items() if there.get(path) != state]
        _within(changed, [folder / name for name in allowed], folder.parent, told)
        if code == 0:
            assert (wrong := "" if "--json" not in words else _unfit_output(out)) == "", f"{told}{wrong}: {out[:2000]}"
            assert not (unfit := [f"{p}: {why}" for p in changed if (why := unfit_file(p))]), f"{told}{unfit}"
        return int(code or 0)

    yield call
    faulthandler.cancel_dump_traceback_later()
    for number, handler in before.items():
        signal.signal(number, handler)


def _as_python_begins() -> None:
    """Hear what a person would see: the filters of Python's start and those that kdcli sets on its import."""
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _there(root: Path) -> dict[Path, tuple[int, int]]:
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            state = path.lstat()
            found[path] = (state.st_size, state.st_mtime_ns)
    return found


def _within(changed: list[Path], allowed: list[Path], root: Path, told: str) -> None:
    for path in changed:
        fits = any(path == one or one in path.parents for one in (*allowed, root / "cache", root / "home" / ".cache"))
        assert fits, f"{told}wrote {path}"


def _unfit_output(out: str) -> str:
    try:
        document: Any = json.loads(out)
    except ValueError as error:
        return f"no JSON ({error})"
    return unfit_numbers(document)
