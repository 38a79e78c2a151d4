"""Results of several files, or of a folder: all of them come to be, or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdcli.drafts import clean, draft_of, require_owned
from kdcli.files import umask


@contextmanager
def together(path: Path) -> Iterator[Path]:
    """Yield a path of the same name in a folder of its own; what lies in it at the end moves to where ``path`` is.

    ``path`` itself moves last: where it is, everything that belongs to it is. It may be a file or a folder. Nothing is
    left of a failure, and what was there before stays as it was.

    Raises:
        FileExistsError: a file that would be written beside ``path`` is there, and ``path`` is not: it is somebody
            else's. OSError: the folder takes no files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clean(path.parent, deep=False)
    draft = draft_of(path)
    try:
        draft.mkdir(mode=0o700)
        yield draft / path.name
        made = sorted(draft.iterdir(), key=lambda one: (one.name == path.name, one.name))
        if not made or made[-1].name != path.name:
            raise FileNotFoundError(f"nothing was written to '{path}'")
        for one in made[:-1]:
            if os.path.lexists(path.parent / one.name) and not os.path.lexists(path):
                raise FileExistsError(f"'{path.parent / one.name}' is in the way of '{path}'; remove or rename it")
        for one in made:
            _settle(one)
            require_owned(path)
            _replace(one, path.parent / one.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _settle(path: Path) -> None:
    """Bring files to disk, with the usual permissions."""
    mode = 0o666 & ~umask()
    for file in (path,) if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            with file.open("rb+") as written:
                os.fsync(written.fileno())
            file.chmod(mode)


def _replace(new: Path, old: Path) -> None:
    """Rename over what is there; a folder cannot be renamed over one that holds something."""
    if not old.is_dir() or old.is_symlink():
        new.replace(old)
        return
    aside = draft_of(old)
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    shutil.rmtree(aside, ignore_errors=True)
