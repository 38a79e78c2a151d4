"""Drafts: what is being written, beside its place and under a name that says who writes it.

::

    .student.kdcli-1f0c22ab-4711-9d3e01c4-5a7b90e2.safetensors
     stem          machine  pid  start    any      suffix

Only names of this form are ever cleaned up, and only when the process that they name is gone.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdcli.processes import boot, myself, running, short, started

_NAME = re.compile(
    r"\.(?P<stem>.+)\.kdcli-(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-(?P<began>[0-9a-f]{8})-[0-9a-f]{8}(\.[^.]*)?",
    re.DOTALL,
)
_LONGEST = 255
"""Bytes of a file's name on nearly every file system."""
FOREIGN_SECONDS = 86400.0
"""Age at which a draft of another machine, whose processes cannot be asked for, counts as left behind."""


def draft_of(path: Path) -> Path:
    """Return a fresh path beside ``path`` that ends alike, since many writers choose the format by it."""
    me = myself()
    tag = f"kdcli-{short(me.host)}-{me.pid}-{short(me.boot, me.started)}-{secrets.token_hex(4)}"
    stem, rest = path.stem, f".{tag}{path.suffix}"
    while len(os.fsencode(f".{stem}{rest}")) > _LONGEST and len(stem) > 1:
        stem = stem[:-1]
    return path.with_name(f".{stem}{rest}")


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
            if not left_behind(path) or path.is_symlink():
                continue
            if name in folders:
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
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
