"""Who a process is, so that what it left behind is told from what another one is still at work on.

A process id alone says little: ids are given out again. Together with the machine, its boot and the time at which the
process began it names one process for good.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of one machine."""

    pid: int
    host: str
    boot: str
    """Differs between two starts of a machine, and is the same in all of its containers; empty where it cannot be
    told."""
    started: str
    """When the process began, in the words of its system; empty where it cannot be told."""

    @classmethod
    def read(cls, document: Any) -> Process | None:
        """Return the process that a document names; None where it names none."""
        texts = ("host", "boot", "started")
        if not isinstance(document, dict) or not all(isinstance(document.get(key), str) for key in texts):
            return None
        pid = document.get("pid")
        if type(pid) is not int or pid < 1:
            return None
        return cls(pid=pid, host=document["host"], boot=document["boot"], started=document["started"])

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine; a container of the same machine counts as the same."""
        return self.host == platform.node() or bool(self.boot and self.boot == boot())

    @property
    def gone(self) -> bool:
        """Whether a process of this machine has surely ended: its id is free, or another program's by now."""
        if self.boot and boot() and self.boot != boot():
            return True
        return not running(self.pid) or bool(self.started and started(self.pid) not in ("", self.started))


def myself() -> Process:
    """Return this process."""
    return _myself(os.getpid())


@functools.lru_cache(maxsize=1)
def _myself(pid: int) -> Process:
    return Process(pid=pid, host=platform.node(), boot=boot(), started=started(pid))


@functools.cache
def boot() -> str:
    """Return what tells this start of the machine from others; empty where nothing does."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def running(pid: int) -> bool:
    """Whether a process of this id runs here; True where that cannot be told."""
    if sys.platform == "win32":  # signal 0 would be Ctrl-C there
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return _stat(pid)[:1] != ["Z"]  # ended, only its parent has not asked for its exit code


def started(pid: int) -> str:
    """Return when the process of an id began; empty where that cannot be told."""
    if len(told := _stat(pid)) > 19:
        return told[19]
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=5,
                                  check=False)  # fmt: skip
            return " ".join(told.stdout.split())
    return ""


def _stat(pid: int) -> list[str]:
    """Return what Linux tells of a process, from its state on; empty elsewhere."""
    try:
        # The name of the program, in brackets before it, may hold anything.
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii").split()
    except (OSError, ValueError):
        return []


def short(*words: str) -> str:
    """Return eight hexadecimal digits that differ where the words do."""
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:8]
