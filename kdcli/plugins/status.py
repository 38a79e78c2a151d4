"""Whether the installed plugins work: at a glance without importing any, or for certain in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdcli.errors import PluginError
from kdcli.plugins import memory as plugin_memory
from kdcli.plugins import registry
from kdcli.plugins.locate import module_file, module_spec
from kdcli.plugins.metadata import malformed
from kdcli.plugins.registry import Plugin, data_file, discover
from kdcli.plugins.syntax import no_python

CHECK_SECONDS = 60.0
"""How long one plugin may take to import when it is checked; torch alone takes some seconds on a cold disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of one plugin.

    status: ``ok``; ``unchecked``: third-party code that looks importable but was not tried; ``shadowed``: another
    plugin has its name; ``broken``, with the first line of the error; ``unreadable``: metadata of a distribution that
    does not speak of kdcli. seconds: what the import took, where tried.
    """

    kind: str
    name: str
    distribution: str
    version: str
    status: str
    error: str | None = None
    value: str = ""
    shadowed_by: str | None = None
    seconds: float | None = None

    def row(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return asdict(self)


def listed(kind: str | None = None) -> list[Plugin]:
    """Return the plugins of one kind, or of all, in the order in which they are shown."""
    return [plugin for plugin in discover() if kind in (None, plugin.kind)]


def unreadable() -> list[Status]:
    """Return what cannot be read of installed distributions: ``broken`` where plugins of ours are concerned."""
    return [
        Status(kind="distribution", name=one.distribution, distribution=one.distribution, version=one.version,
               status="broken" if one.ours else "unreadable", error=one.reason)
        for one in registry.unreadable()
    ]


def glance(plugins: Iterable[Plugin]) -> list[Status]:
    """Judge plugins by metadata, file names, a parse of the source and remembered failures. Nothing is imported."""
    return [_status(plugin, static_error(plugin)) for plugin in plugins]


def check(plugins: Iterable[Plugin], *, seconds: float = CHECK_SECONDS, workers: int = 2,
          each: Callable[[Status], None] | None = None) -> list[Status]:
    """Judge plugins by loading each third-party one in a process of its own, some at a time.

    seconds: after which a load counts as failed. each: called with every status as it is known.
    """
    from concurrent.futures import ThreadPoolExecutor

    def judge(plugin: Plugin) -> Status:
        if plugin.built_in or plugin.is_data:
            status = _status(plugin, static_error(plugin))
        else:
            error, took = probe(plugin, seconds)
            status = _status(plugin, error, took)
        if each is not None:
            each(status)
        return status

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        judged = list(pool.map(judge, plugins))
    for status in judged:
        if status.seconds is not None:
            plugin_memory.remember(status.distribution, status.version, status.value, status.error)
    return judged


def probe(plugin: Plugin, seconds: float) -> tuple[str | None, float]:
    """Load a plugin in another Python; return the first error line, if any, and what the load took in seconds."""
    import tempfile

    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kdcli-probe-") as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, "-P", "-m", "kdcli.plugins.probe", plugin.kind, plugin.address, str(answer)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=seconds, check=False, env=same_path())
        except subprocess.TimeoutExpired:
            return f"takes longer than {seconds:g} s to import", time.perf_counter() - begin
        took = time.perf_counter() - begin
        try:
            document = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return f"{ended(done.returncode)} when imported", took
    return document["error"], float(document["seconds"])


def ended(code: int) -> str:
    """Say how a process ended that should not have."""
    if code >= 0:
        return f"ends the process with code {code}"
    try:
        return f"crashes the process with {signal.Signals(-code).name}"
    except ValueError:
        return f"crashes the process with signal {-code}"


def same_path() -> dict[str, str]:
    """Return the environment for another Python that is to find the modules which this one finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def static_error(plugin: Plugin) -> str | None:
    """Return what is wrong with a plugin as far as files tell; None where nothing is."""
    if plugin.built_in:
        return None
    if plugin.is_data:
        return _file_error(plugin)
    module, _, attribute = plugin.value.partition(":")
    module, attribute = module.strip(), attribute.partition("[")[0].strip()
    if (wrong := malformed(plugin.value)) is not None:
        return f"{wrong}; reinstall or uninstall {plugin.distribution}"
    if module_spec(module) is None:
        return f"ModuleNotFoundError: no module '{module}'; reinstall or uninstall {plugin.distribution}"
    if not attribute:
        return f"entry point '{plugin.value}' names a module, not MODULE:FACTORY"
    file = module_file(module)
    if file is not None and file.suffix == ".py" and (wrong := no_python(file)) is not None:
        return wrong
    return plugin_memory.recall(plugin.distribution, plugin.version, plugin.value)


def _file_error(plugin: Plugin) -> str | None:
    import tomllib

    try:
        tomllib.loads(data_file(plugin).read_text(encoding="utf-8"))
    except PluginError as error:
        return str(error)
    except (OSError, ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def _status(plugin: Plugin, error: str | None, seconds: float | None = None) -> Status:
    if error is not None:
        word = "broken"
    elif plugin.shadowed_by is not None:
        word = "shadowed"
    else:
        word = "ok" if plugin.built_in or plugin.is_data or seconds is not None else "unchecked"
    return Status(
        kind=plugin.kind, name=plugin.name, distribution=plugin.distribution, version=plugin.version, status=word,
        error=error, value=plugin.value, shadowed_by=plugin.shadowed_by, seconds=seconds,
    )
