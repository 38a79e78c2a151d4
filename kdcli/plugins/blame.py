"""Whose fault: an error that comes out of a plugin at run time names the plugin, also one that means to end Python.

``registry.build`` remembers what it made for whom. Whoever calls into such an object does it within
``with blame(thing, "terms"):``. Nothing is looked up before an error is there, so that a training step can afford it.
"""

from __future__ import annotations

import dis
import sys
import weakref
from types import TracebackType
from typing import Any

from kdcli import interrupts
from kdcli.errors import KdcliError, PluginError, out_of_memory
from kdcli.plugins.plugin import Plugin
from kdcli.text import line

_LONGEST = 300
"""Letters of an error of somebody else's."""

_owners: dict[int, tuple[Any, Plugin]] = {}
"""id -> a way to the object, which tells that it still is that object, and its plugin."""
_loaded: list[Plugin] = []
"""Third-party plugins in the order in which they were first asked for."""

_EXIT_CODES = (1, 3, 4)
"""Of errors that a plugin may raise of kdcli's; a class of its own might claim another, success even."""


def own(thing: Any, plugin: Plugin) -> None:
    """Remember which plugin made an object, for as long as the object lives."""
    if thing is None:
        return
    key = id(thing)
    try:
        reach: Any = weakref.ref(thing, lambda _: _owners.pop(key, None))
    except TypeError:  # numbers, named tuples, classes with slots: kept alive, so that nothing else gets their id
        def reach() -> Any:
            return thing
    _owners[key] = (reach, plugin)


def owner_of(thing: Any) -> Plugin | None:
    """Return the plugin that made an object; None where nobody knows."""
    if isinstance(thing, Plugin):
        return thing
    known = _owners.get(id(thing))
    return known[1] if known is not None and known[0]() is thing else None


def loaded() -> tuple[Plugin, ...]:
    """Return the third-party plugins of which modules were imported, each in a package that only plugins bring."""
    return tuple(_loaded)


def note_loading(plugin: Plugin) -> None:
    """Remember a plugin before its code runs; not where its entry point names a module of somebody else's."""
    package = plugin.value.partition(":")[0].strip().partition(".")[0]
    known = any(other.value.partition(":")[0].strip().partition(".")[0] == package for other in _loaded)
    if not plugin.built_in and plugin not in _loaded and (known or package not in sys.modules):
        _loaded.append(plugin)


class blame:
    """Turn what comes out of a block into an error that names the plugin at work.

    What kdcli itself raises keeps its class and gets the plugin's name; Ctrl-C, a lack of memory and the death of a
    process beside this one pass as they are; the rest, ``SystemExit`` and other ends of Python among it, becomes a
    ``PluginError``. Nothing happens to errors of kdcli's own plugins. Never put a ``yield`` inside: closing the
    generator would look like an error.
    """

    __slots__ = ("_doing", "_thing")

    def __init__(self, thing: Any, doing: str) -> None:
        """thing: an object that ``registry.build`` made, or a Plugin. doing: what it was asked for."""
        self._thing, self._doing = thing, doing

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Judge the error, if there is one.

        Raises:
            PluginError: the plugin's fault.
        """
        if error is None:
            return
        plugin = owner_of(self._thing)
        if plugin is None or plugin.built_in:
            return
        told = judged(error, plugin, self._doing)
        if told is not None:
            raise told from error


def judged(error: BaseException, plugin: Plugin, doing: str) -> PluginError | None:
    """Return what to raise instead of an error that came out of a plugin; None = the error itself, as it now is."""
    if isinstance(error, KdcliError) and error.exit_code in _EXIT_CODES:
        _sign(error, plugin)
        return None
    if is_interrupt(error) or out_of_memory(error) or is_worker_gone(error):
        return None
    told = PluginError(f"{plugin.label} failed in {doing}: {describe(error)}; report it to its author")
    _signed(told)
    return told


def is_worker_gone(error: BaseException) -> bool:
    """Return whether torch says that a process which reads data has died; it says so wherever the program just is."""
    return isinstance(error, RuntimeError) and describe(error).startswith("RuntimeError: DataLoader worker (pid")


def is_interrupt(error: BaseException) -> bool:
    """Return whether a ``KeyboardInterrupt`` is the user's and not somebody's ``raise KeyboardInterrupt``.

    The user's comes with a signal: its handler says so, or is itself the innermost frame; Python's own handler is
    written in C and leaves no frame, so that the innermost one was interrupted anywhere but at a ``raise``.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    if interrupts.asked():
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "kdcli":
        return True
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] not in ("RAISE_VARARGS", "RERAISE")


def describe(error: BaseException) -> str:
    """Return an exception as one short line; also one whose own text cannot be had."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return line(f"{type(error).__name__}: {text}" if text.strip() else type(error).__name__, _LONGEST)


def _sign(error: KdcliError, plugin: Plugin) -> None:
    """Add the plugin's name to an error's text, once: the innermost plugin is the one that speaks."""
    if vars(error).get("signed"):
        return
    if len(error.args) == 1 and isinstance(error.args[0], str) and plugin.label not in error.args[0]:
        error.args = (f"{error.args[0]} ({plugin.label})",)
    _signed(error)


def _signed(error: KdcliError) -> None:
    vars(error)["signed"] = True
