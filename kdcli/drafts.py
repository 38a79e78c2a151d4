"""Drafts: what is being written, beside its place and under a name that says who writes it.

::

    .student.kdcli-1f0c22ab-4711-9d3e01c4-5a7b90e2.safetensors
     stem          machine  pid  start    any      suffix

Only names of this form are ever cleaned up, and only when the process that they name is gone, or has lost the folder.

A process that owns a folder may lose it, having been asleep for so long that it counts as gone. It must then write over
nothing of the new owner's, however soon after its waking. Three things in this order see to that: its draft is there,
it finds itself to be the owner still, it renames the draft. The new owner first puts its own name there, then removes
the drafts of the one before, and only then reads: what was renamed later than that had no draft any more.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdcli.errors import TrainingError
from kdcli.processes import Process, boot, myself, running, short, started

_NAME = re.compile(
    r"\.(?P<stem>.+)\.kdcli-(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-(?P<began>[0-9a-f]{8})-[0-9a-f]{8}(\.[^.]*)?",
    re.DOTALL,
)
_LONGEST = 255
"""Bytes of a file's name on nearly every file system."""
FOREIGN_SECONDS = 86400.0
"""Age at which a draft of another machine, whose processes cannot be asked for, counts as left behind."""
_owned: dict[str, Callable[[], None]] = {}
"""What asks whether a folder is still this process's, of those that it owns."""


class Lost(TrainingError):
    """Another process owns a folder by now, which had not heard of this one for long."""


def draft_of(path: Path) -> Path:
    """Return a fresh path beside ``path`` that ends alike, since many writers choose the format by it."""
    tag = f"kdcli-{'-'.join(_writer(myself()))}-{secrets.token_hex(4)}"
    stem, rest = path.stem, f".{tag}{path.suffix}"
    while len(os.fsencode(f".{stem}{rest}")) > _LONGEST and len(stem) > 1:
        stem = stem[:-1]
    return path.with_name(f".{stem}{rest}")


def _writer(process: Process) -> tuple[str, str, str]:
    """Return what stands for a process in the names of its drafts."""
    return short(process.host), str(process.pid), short(process.boot, process.started)


@contextmanager
def owning(folder: Path, require: Callable[[], None]) -> Iterator[None]:
    """Have ``require`` asked before anything is put into its place in a folder, while the block runs.

    require: raises ``Lost`` where the folder is another process's by now.
    """
    key = str(folder.absolute())
    _owned[key] = require
    try:
        yield
    finally:
        _owned.pop(key, None)


def require_owned(path: Path) -> None:
    """Ask whether the folders that this process owns, and in which a path lies, are still its own.

    Raises:
        Lost: one is another process's.
    """
    if _owned:
        place = path.absolute()
        for folder, require in list(_owned.items()):
            if place.is_relative_to(folder):
                require()


def into_place(draft: Path, path: Path) -> None:
    """Rename a draft to what it is a draft of, unless another process owns the folder by now.

    Raises:
        Lost: one does. OSError: as renaming.
    """
    require_owned(path)
    draft.replace(path)


def remove_of(folder: Path, process: Process) -> None:
    """Remove the drafts of a process that has lost a folder, and of what lies below it; its name is gone from there."""
    for place, folders, files in os.walk(folder):
        for name in (*files, *folders):
            match = _NAME.fullmatch(name)
            if match is not None and (match["host"], match["pid"], match["began"]) == _writer(process):
                _remove(Path(place, name))
        folders[:] = [name for name in folders if not name.startswith(".")]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def is_draft(name: str) -> bool:
    """Whether a file of this name is a draft of kdcli's."""
    return _NAME.fullmatch(name) is not None


def left_behind(path: Path) -> bool:
    """Whether a path is a draft whose writer is gone."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return False
    if match["host"] != short(platform.node()):
        try:
            return time.time() - path.lstat().st_mtime > FOREIGN_SECONDS
        except OSError:
            return False
    pid = int(match["pid"])
    return not running(pid) or match["began"] != short(boot(), started(pid))


def clean(folder: Path, *, deep: bool = True) -> None:
    """Remove the drafts in a folder, and below it, whose writers are gone; links and hidden folders are passed by."""
    for place, folders, files in os.walk(folder):
        for name in (*files, *folders):
            path = Path(place, name)
            if left_behind(path) and not path.is_symlink():
                _remove(path)
        folders[:] = [name for name in folders if deep and not name.startswith(".")]


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` and rename it at the end; nothing is left of it on any failure.

    Of several processes that make the same folder at once exactly one succeeds.

    Raises:
        FileExistsError: something is there by the time that it is done; an empty folder is no hindrance.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clean(path.parent, deep=False)
    draft = draft_of(path)
    try:
        draft.mkdir()
        yield draft
        try:
            draft.rename(path)  # over an empty folder, where the system can
        except OSError:
            with suppress(OSError):
                path.rmdir()
            if os.path.lexists(path):
                raise FileExistsError(str(path)) from None
            draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _forget_after_fork() -> None:
    """A child owns nothing of its parent's."""
    _owned.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
