"""Work that several processes share by a folder that all of them see: each piece is taken by one at a time.

::

    CLAIMS/NAME.1   who took the piece first, and what came of it
    CLAIMS/NAME.2   who took it next; the last number holds
    CLAIMS/process-ID.1   a process that is at work here, on whatever

A claim is a file that exactly one process can create, on file systems of a network too, and that its owner touches as
long as it lives. Nobody's clock is trusted: an owner that cannot be seen from here counts as gone when its file has
kept the same time for as long as somebody watched it. Numbers are never given out again, so that of two that take over
the same claim one succeeds, and an owner that was only asleep learns that its claim is another's now.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from kdcli.drafts import Lost
from kdcli.files import from_json, write_json
from kdcli.processes import Process, boot, myself, short

FOLDER = "claims"
"""What a folder of claims is called where others look for it."""
BEAT = 15.0
"""Seconds between two signs of life."""
SILENCE = 180.0
"""Seconds without one after which an owner of another machine counts as gone."""
_MOST_BYTES = 65536
_PRESENT = "process-"

End = Literal["finished", "failed", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a piece of work."""

    number: int
    """Of its last claim; 0 where nobody ever took it."""
    owner: Process | None = None
    end: End | None = None
    """None while it is held."""
    why: str = ""
    """Of one that failed."""
    space: str = ""
    """Which processes the owner could be seen by."""

    @property
    def held(self) -> bool:
        """Whether somebody is at work on it, or was when it was lost."""
        return self.number > 0 and self.end is None


@dataclass(kw_only=True)
class Claim:
    """A piece of work that is this process's."""

    path: Path
    number: int
    after: Process | None = None
    """Who had it before, and is gone without a word."""
    lost: bool = field(default=False)
    """Whether another process took it over, which had not heard of this one for too long."""

    def beat(self) -> None:
        """Show that the owner lives; find out whether it still is the owner."""
        if _numbered(self.path, self.number + 1).exists():
            self.lost = True
        try:
            os.utime(_numbered(self.path, self.number))
        except FileNotFoundError:
            self.lost = True
        except OSError:  # the folder may be back at the next beat
            pass

    def require(self) -> None:
        """Ask anew whether it still is this process's.

        Raises:
            Lost: it is another's by now.
        """
        self.beat()
        if self.lost:
            raise Lost(f"this process was not heard of for so long that another one took over '{self.path}'")

    def ended(self, end: End, why: str = "") -> bool:
        """Let go of it; return whether it was this process's to the end."""
        self.beat()
        if not self.lost:
            write_json(_numbered(self.path, self.number), {**_record(), "end": end, "why": why})
        return not self.lost


class Claims:
    """The claims in a folder, as one process sees them; those of its own end with the block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mine: dict[str, Claim] = {}
        self._heard: dict[str, tuple[int, int, float]] = {}
        self._numbers: dict[str, int] = {}
        self._over = threading.Event()
        self._beating: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Let others see that this process is here."""
        me = myself()
        self.take(_PRESENT + short(me.host, me.boot, _space(), str(me.pid), me.started))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Let go of what is still held, and put the folder away when all that was ever taken is finished."""
        self._over.set()
        if self._beating is not None:
            self._beating.join()
        with contextlib.suppress(OSError):  # on a full disk the first error is the one to tell
            for name in list(self._mine):
                self.ended(name, "finished" if name.startswith(_PRESENT) else "left")
            self._tidy()

    def take(self, name: str) -> Claim | None:
        """Take a piece of work; None where another process has it."""
        seen = self.look(name)
        if seen.held and not self._gone(name, seen):
            return None
        number = seen.number + 1
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(_numbered(self.folder / name, number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return None
        with os.fdopen(handle, "wb") as stream:
            stream.write(json.dumps(_record()).encode() + b"\n")
        claim = Claim(path=self.folder / name, number=number, after=seen.owner if seen.held else None)
        claim.beat()  # the folder may have been put away and begun anew, with somebody else's later number
        if claim.lost:
            return None
        self._mine[name] = claim
        if self._beating is None:
            self._beating = threading.Thread(target=self._beat, name="kdcli-claims", daemon=True)
            self._beating.start()
        return claim

    def lost(self, name: str) -> bool:
        """Whether this process had it, and another took it over."""
        claim = self._mine.get(name)
        return claim is not None and claim.lost

    def ended(self, name: str, end: End, why: str = "") -> bool:
        """Let go of a piece of this process's; return whether it was that to the end, and not taken over."""
        return self._mine.pop(name).ended(end, why)

    def look(self, name: str) -> Seen:
        """Return what is known of a piece of work."""
        number = self._numbers.get(name, 0)
        if number and not _numbered(self.folder / name, number).exists():
            number = 0  # the folder was put away
        while _numbered(self.folder / name, number + 1).exists():
            number += 1
        self._numbers[name] = number
        return self._read(name, number) if number else Seen(number=0)

    def at_work(self) -> list[Process | None]:
        """Return who holds something here and is not known to be gone."""
        found = []
        for name in _names(self.folder):
            seen = self.look(name)
            if seen.held and not self._gone(name, seen):
                found.append(seen.owner)
        return found

    def _read(self, name: str, number: int) -> Seen:
        try:
            # Opened, not only asked for: file systems of a network answer from memory otherwise.
            with _numbered(self.folder / name, number).open("rb") as stream:
                document, touched = _parsed(stream.read(_MOST_BYTES)), os.fstat(stream.fileno()).st_mtime_ns
        except FileNotFoundError:
            return Seen(number=0)
        if self._heard.get(name, (0, 0, 0.0))[:2] != (number, touched):
            self._heard[name] = (number, touched, time.monotonic())
        end = document.get("end")
        return Seen(
            number=number, owner=Process.read(document), why=str(document.get("why", "")),
            space=str(document.get("space", "")), end=end if end in ("finished", "failed", "left") else None,
        )

    def _gone(self, name: str, seen: Seen) -> bool:
        """Whether who holds it has surely ended, or was not heard of for long."""
        owner = seen.owner
        if owner is not None and _visible(owner, seen.space):
            return owner.gone
        return time.monotonic() - self._heard[name][2] > SILENCE

    def _done(self, name: str, seen: Seen) -> bool:
        return seen.end == "finished" or (name.startswith(_PRESENT) and seen.held and self._gone(name, seen))

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            for claim in list(self._mine.values()):
                claim.beat()

    def _tidy(self) -> None:
        names = _names(self.folder)
        if all(self._done(name, self.look(name)) for name in names):
            for name in names:
                for number in range(1, self._numbers[name] + 1):
                    _numbered(self.folder / name, number).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _names(folder: Path) -> list[str]:
    try:
        found = [entry.name.rpartition(".") for entry in os.scandir(folder)]
    except OSError:
        return []
    return sorted({name for name, _, number in found if name and number.isdecimal()})


def _record() -> dict[str, Any]:
    return {**myself().document(), "space": _space()}


def _space() -> str:
    """Return what tells containers of one machine apart that do not see one another's processes."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _visible(owner: Process, space: str) -> bool:
    """Whether a process, if it lives, can be seen from here."""
    if owner.boot and boot():
        return owner.boot == boot() and space == _space()
    return owner.here


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        document = from_json(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
