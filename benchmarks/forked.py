"""Commands that begin in a fork of a process which has imported everything: the same code, without its first seconds.

For benchmarks that start a command some thousand times. ``Starter`` holds the process, its ``begin`` forks a command of
it, in a session of its own, and returns what behaves as ``subprocess.Popen`` where that is needed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_SERVER = """\
import json, os, signal, sys
import contextlib, importlib, pkgutil
import onnx, onnxruntime, timm, torch.utils.tensorboard
import kdcli
for found in pkgutil.walk_packages(kdcli.__path__, "kdcli."):
    if not found.name.endswith("__main__"):
        with contextlib.suppress(ImportError):
            importlib.import_module(found.name)
print("ready", flush=True)
while line := sys.stdin.readline():
    words, told = json.loads(line)
    child = os.fork()
    if child:
        print(child, flush=True)
        _, status, used = os.wait4(child, 0)
        print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, flush=True)
        continue
    os.setsid()
    for number, name in ((0, os.devnull), (1, os.devnull), (2, told)):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from kdcli.cli import interrupt
    interrupt.begin()
    open(told + ".up", "w").close()
    sys.argv = ["kdcli", *words]
    from kdcli.__main__ import main
    main()
    sys.exit(0)
"""
"""Standard streams of a command are files, so that nobody has to read them while it runs."""


class Starter:
    """The process that commands are forked of, in a folder with an environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._count = folder, 0
        self.used = 0.0
        """Seconds of the processor that all commands together took, with what they started and waited for."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, bufsize=1,
        )
        assert self._line(120.0) == "ready"

    def begin(self, words: list[str]) -> Forked:
        """Fork a command; returns when it answers signals."""
        assert self._process.stdin is not None
        told = self._folder.parent / f"told-{self._count}"
        self._count += 1
        self._process.stdin.write(json.dumps([words, str(told)]) + "\n")
        pid = int(self._line(30.0) or 0)
        up = told.with_name(told.name + ".up")
        while not up.exists():
            time.sleep(0.002)
        return Forked(pid=pid, told=told, starter=self)

    def ended(self, patience: float) -> int | None:
        """Return the exit code of the command that was forked last; None where it goes on."""
        line = self._line(patience)
        if line is None:
            return None
        code, used = line.split()
        self.used += float(used)
        return int(code)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self, patience: float) -> str | None:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], patience)
        return self._process.stdout.readline().strip() if ready else None


@dataclass(kw_only=True)
class Forked:
    """A command that was forked; one at a time of a starter."""

    pid: int
    told: Path
    starter: Starter = field(repr=False)
    returncode: int | None = None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Return its exit code.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        if self.returncode is None:
            self.returncode = self.starter.ended(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("kdcli", timeout)
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Return nothing and what it said on standard error, when it has ended."""
        self.wait(timeout)
        said = self.told.read_text(encoding="utf-8")
        for path in (self.told, self.told.with_name(self.told.name + ".up")):
            path.unlink()
        return "", said
