"""Files: written whole or not at all, hashed, and never half-read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kdcli.drafts import draft_of, into_place, require_owned


def at_home(path: str | Path) -> Path:
    """Return a path with ``~`` or ``~user`` in full, or as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it on success, remove it on any failure.

    The temporary is a draft, see ``kdcli.drafts``: what a killed process leaves of one is known for what it is, and a
    folder that this process owned and has lost is left alone.
    """
    # Its name is known before it exists, so that it is removed whenever an interruption comes.
    temporary = draft_of(path)
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:  # it names the temporary or some parent; the reader knows the path asked for
            raise _about(error, path) from None
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        # Private until it is whole; what is kept gets the usual permissions.
        temporary.chmod(0o666 & ~umask())
        into_place(temporary, path)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            require_owned(path)  # the new owner of the folder removes drafts of the one before
        if error.filename in (None, str(temporary)):
            raise _about(error, path) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


def umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    current = os.umask(0)
    os.umask(current)
    return current


def require_writable(path: Path) -> None:
    """Check that a file could be written at ``path``, before the work whose result it is to hold; nothing is left.

    Raises:
        OSError: the path is a folder, lies below a file, or its folder takes no files.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    draft = draft_of(folder / path.name)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise _about(error, path) from None
    finally:
        with suppress(OSError):
            draft.unlink()


def _about(error: OSError, path: Path) -> OSError:
    # A parent that is a file is told as FileExistsError by mkdir, which would mislead.
    number = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno or errno.EIO
    return OSError(number, os.strerror(number), str(path))


def write_text(path: Path, text: str, *, names: bool = False) -> None:
    """Write text atomically as UTF-8 with plain newlines.

    names: what is no UTF-8 in the name of a file is written byte by byte, as ``kdcli.documents.read_text`` reads it
    back; it is escaped otherwise.
    """
    with atomic(path) as temporary:
        errors = "surrogateescape" if names else "backslashreplace"
        temporary.write_text(text, encoding="utf-8", errors=errors, newline="\n")



def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically; not-a-number is refused, as other readers do."""
    write_text(path, json.dumps(document, indent=2, default=str, allow_nan=False) + "\n")


@contextmanager
def openable(path: Path) -> Iterator[Path]:
    """Yield a path of the same file for libraries that open nothing whose name is no UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with path.open("rb") as stream:  # Linux alone has such names
            yield Path(f"/proc/self/fd/{stream.fileno()}")
    else:
        yield path


def from_json(text: str | bytes) -> Any:
    """Return a JSON document.

    Raises:
        ValueError: it is none, is not UTF-8, or has lists in lists without end.
    """
    try:
        return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError("lists in lists without end") from None


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(document: Any) -> str:
    """Return a short stable hash of a JSON-able document: 16 hexadecimal digits."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


LFS_BEGINS = b"version https://git-lfs.github.com/spec/"
"""What a Git LFS pointer begins with."""


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a Git LFS pointer: a few lines of text standing in for the real content."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(LFS_BEGINS)) == LFS_BEGINS
    except OSError:
        return False
