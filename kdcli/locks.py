"""One owner of a folder: whoever holds the lock on its file ``.kdcli.lock``, in which the owner's name stands.

The lock is the operating system's: of processes that ask at once it goes to exactly one, and it ends with its owner,
however that ends. A file system without locks has the file alone, written under a second one that only one process can
create; there an owner is known to be gone by its process id and the time at which that process began.

An owner that another machine took for gone finds its name replaced when it wakes up: what it would still write whole
(``kdcli.files``, ``kdcli.together``) is refused, see ``kdcli.drafts``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kdcli.drafts import Lost, owning, remove_of
from kdcli.errors import ConfigError
from kdcli.interrupts import undisturbed
from kdcli.processes import Process, myself

NAME = ".kdcli.lock"
GUARD = ".kdcli.lock.new"
"""Stands for a moment only, on file systems without locks."""
PATIENCE = 30.0
"""Seconds that somebody waits who wants a folder for a moment."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_ATTEMPTS = 100
_MOST_BYTES = 4096
_held: set[int] = set()


class Busy(ConfigError):
    """Another process is the owner."""


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Own a folder, which exists, while the block runs; an owner that has ended is no hindrance.

    Raises:
        Busy: another process owns it, or one of another machine was not seen to end; the message says which.
        Lost: from what is written in the block, when it is another's by then.
    """
    held: list[Callable[[], None]] = []
    try:
        with undisturbed():
            held.append(_take(folder))
        with owning(folder, lambda: _require(folder)):
            yield
    finally:
        _end(held)


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own a folder, which is made where it is not there; one that stays empty is taken away again.

    Raises:
        Busy: as ``only_one``.
    """
    there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_one(folder):
            yield
    finally:
        if not there:
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def for_a_moment(folder: Path) -> Iterator[None]:
    """Own a folder for as long as reading and writing a file takes; somebody else's moment is waited for.

    Raises:
        Busy: the other did not come to an end.
    """
    end, held = time.monotonic() + PATIENCE, list[Callable[[], None]]()
    try:
        while not held:
            try:
                with undisturbed():
                    held.append(_take(folder))
            except Busy:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        yield
    finally:
        _end(held)


def owner(folder: Path) -> Process | None:
    """Return who owns a folder, or was killed as its owner, by the name in its lock; None where there is none.

    Nothing is asked of the lock itself: whoever looks on is in nobody's way.
    """
    try:
        with (folder / NAME).open("rb") as stream:
            return Process.read(_parsed(stream.read(_MOST_BYTES)))
    except OSError:
        return None


def _require(folder: Path) -> None:
    # By its content, for which it is opened: file systems of a network answer what is only asked for from memory.
    if owner(folder) != myself():
        raise Lost(f"this process was not heard of for so long that another one took over '{folder}', or its '{NAME}' "
                   "was removed; nothing more is written there")


def put_away(folder: Path, host: str) -> None:
    """Remove the name of an owner of another machine, which is known to have ended, so that the folder can be owned.

    One whose lock the file system still holds is at work after all, and keeps its name. One that was only asleep puts
    nothing into its place in the folder any more.
    """
    path, who = folder / NAME, owner(folder)
    if who is None or who.here or who.host != host:
        return
    with path.open("rb+") as stream:
        if _lock(stream.fileno()) is not False and _is(stream.fileno(), path):
            path.unlink(missing_ok=True)
            remove_of(folder, who)


def _take(folder: Path) -> Callable[[], None]:
    """Become the owner and return what ends that.

    Raises:
        Busy: somebody else is.
    """
    path = folder / NAME
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    for _ in range(_ATTEMPTS):
        handle = os.open(path, flags, 0o666)
        _held.add(handle)
        try:
            mine = _lock(handle)
            if mine and _is(handle, path):
                _refuse_foreign(_owner(handle), folder, path)
                os.ftruncate(handle, 0)
                os.lseek(handle, 0, os.SEEK_SET)
                os.write(handle, _record())
                return lambda: _release(handle, path)
            owner = _owner(handle)
        except BaseException:
            _let_go(handle)
            raise
        _let_go(handle)
        if mine is None:
            return _take_by_file(folder, path)
        if not mine and path.exists():
            raise Busy(_busy(owner, folder))
        # Its owner has just put it away: look again.
    raise Busy(_busy(None, folder))


def _end(held: list[Callable[[], None]]) -> None:
    """End to be the owner, also where a request to stop comes just as that begins."""
    try:
        _put_down(held)
    finally:
        _put_down(held)


def _put_down(held: list[Callable[[], None]]) -> None:
    with undisturbed():
        while held:
            held.pop()()


def _release(handle: int, path: Path) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":  # what is open cannot be removed there
            _let_go(handle)
            path.unlink()
        elif _is(handle, path):
            path.unlink()
    _let_go(handle)


def _take_by_file(folder: Path, path: Path) -> Callable[[], None]:
    """Become the owner where the file system has no locks."""
    guard = folder / GUARD
    try:
        os.close(os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        raise Busy(
            f"another process is just beginning to work on '{folder}'; try again, and if this stays, delete '{guard}'"
        ) from None
    try:
        with contextlib.suppress(FileNotFoundError):
            owner = Process.read(_parsed(path.read_bytes()[:_MOST_BYTES]))
            # Without a lock of the system nothing tells of the processes of another container, on this machine either.
            _refuse_foreign(owner, folder, path, seen=owner is not None and owner.host == myself().host)
            if owner is not None and not owner.gone:
                raise Busy(_busy(owner, folder))
        path.write_bytes(_record())
    finally:
        guard.unlink(missing_ok=True)
    return lambda: path.unlink(missing_ok=True)


def _refuse_foreign(owner: Process | None, folder: Path, path: Path, *, seen: bool | None = None) -> None:
    """Refuse a folder whose owner cannot be seen from here. seen: whether it can; None = if it is of this machine.

    Raises:
        Busy: the owner is of another machine and has not put its name away.
    """
    if owner is not None and not (owner.here if seen is None else seen):
        raise Busy(
            f"process {owner.pid} of machine '{owner.host}' works on '{folder}', or was killed as it did, which this "
            f"machine cannot see; if it has ended, delete '{path}' and try again"
        )


def _busy(owner: Process | None, folder: Path) -> str:
    if owner is None or (owner.here and owner.gone):  # the new one has not written its name yet
        return f"another process is working on '{folder}'; wait for it or stop it"
    where = "" if owner.here else f" of machine '{owner.host}'"
    return f"process {owner.pid}{where} is working on '{folder}'; wait for it or stop it"


def _lock(handle: int) -> bool | None:
    """Lock an open file; False where somebody else holds it, None where the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 2**30, os.SEEK_SET)  # far behind the text, which others may then read
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def _is(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of its name: an owner that ends removes it."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


def _let_go(handle: int) -> None:
    _held.discard(handle)
    os.close(handle)


def _owner(handle: int) -> Process | None:
    os.lseek(handle, 0, os.SEEK_SET)
    return Process.read(_parsed(os.read(handle, _MOST_BYTES)))


def _record() -> bytes:
    return json.dumps(myself().document()).encode() + b"\n"


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _forget_after_fork() -> None:
    """A child owns nothing of its parent's, and must not keep the locks of one that was killed."""
    for handle in list(_held):
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
