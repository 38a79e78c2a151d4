"""What a plugin may not change: the process around it is put back after its import, its construction and a run of it.

Each thing is read before and after. What was changed is set to what it was, and one line on standard error says what
that was and after whom. Foreign code may still add: variables of the environment, folders at the end of ``sys.path``,
filters that silence warnings.
"""

from __future__ import annotations

import locale
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from kdcli.plugins.blame import loaded
from kdcli.plugins.streams import Streams
from kdcli.plugins.torch_state import SEEDS, TORCH, Thing
from kdcli.text import line


@contextmanager
def kept(doing: str, *, seeds: bool = True, say: Callable[[str], object] | None = None) -> Iterator[None]:
    """Put back what a block changes around it, and say so.

    doing: for the message, like ``import of loss 'x' of y 1.0``. seeds: global random numbers as well; not where a
    block may draw from them, as a constructor that initialises layers. say: takes the message; standard error if None.
    """
    before = [(thing, _read(thing)) for thing in (*_PROCESS, *TORCH, *((_SEEDS, *SEEDS) if seeds else ()))]
    streams = Streams()
    try:
        yield
    finally:
        changed = streams.put_back()
        for thing, state in before:
            now = _read(thing)
            if state is not _UNKNOWN and now is not _UNKNOWN and not _same(now, state):
                with suppress(Exception):
                    thing.write(state)
                changed.append(thing.name)
        if changed:
            message = f"the {doing} changed {', '.join(dict.fromkeys(changed))}; put back, report it to its author"
            (say or _tell)(message)


def kept_by_plugins(doing: str) -> AbstractContextManager[None]:
    """Put back what other people's plugins change in the course of some work; nothing is read where there are none."""
    labels = [plugin.label for plugin in loaded()]
    return kept(f"{doing} with {' and '.join(labels)}", seeds=False) if labels else nullcontext()


def _tell(message: str) -> None:
    with suppress(Exception):
        sys.stderr.write(f"kdcli: {line(message)}\n")
        sys.stderr.flush()


_UNKNOWN = object()


def _read(thing: Any) -> Any:
    try:
        return thing.read()
    except Exception:  # a working directory that was removed, a module that is half imported
        return _UNKNOWN


def _same(now: Any, before: Any) -> bool:
    return now is before or bool(now == before)


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now


def _handlers() -> dict[int, Any]:
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGALRM", "SIGPIPE")
    return {number: signal.getsignal(number) for name in names if (number := getattr(signal, name, None)) is not None}


def _set_handlers(before: dict[int, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _environment() -> dict[str, str]:
    return _Old(os.environ)


class _Old(dict[str, str]):
    """Variables that compare equal to earlier ones when none of those was changed or removed.

    A list of paths may have grown. New variables do not count, but for kdcli's own: they would steer what it does.
    """

    def __eq__(self, before: object) -> bool:
        assert isinstance(before, dict)
        return all(_still(self.get(name), value) for name, value in before.items()) and not _added(self, before)


def _still(now: str | None, before: str) -> bool:
    return now is not None and (
        now == before or now.startswith(before + os.pathsep) or now.endswith(os.pathsep + before)
    )


def _added(now: Any, before: Any) -> list[str]:
    return [name for name in now if name.startswith("KDCLI_") and name not in before]


def _set_environment(before: dict[str, str]) -> None:
    os.environ.update({name: value for name, value in before.items() if not _still(os.environ.get(name), value)})
    for name in _added(os.environ, before):
        del os.environ[name]


class _Begins(list[str]):
    """A search path that compares equal to one that goes on behind it."""

    def __eq__(self, before: object) -> bool:
        assert isinstance(before, list)
        return list(self)[: len(before)] == list(before)


def _set_path(before: list[str]) -> None:
    sys.path[:] = [*before, *(entry for entry in sys.path if entry not in before)]


def _raising_filters() -> list[Any]:
    return [one for one in warnings.filters if one[0] == "error"]


def _set_raising_filters(before: list[Any]) -> None:
    warnings.filters[:] = [one for one in warnings.filters if one[0] != "error" or one in before]  # type: ignore[index]


_PROCESS = (
    Thing("the working directory", os.getcwd, os.chdir),
    Thing("the umask", _umask, os.umask),
    Thing("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda old: locale.setlocale(locale.LC_ALL, old)),
    Thing("signal handlers", _handlers, _set_handlers),
    Thing("variables of the environment", _environment, _set_environment),
    Thing("sys.path", lambda: _Begins(sys.path), _set_path),
    Thing("warnings that become errors", _raising_filters, _set_raising_filters),
    Thing("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
)
_SEEDS = Thing("Python's random numbers", random.getstate, random.setstate)
