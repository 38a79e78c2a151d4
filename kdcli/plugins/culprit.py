"""The net below all guards: an error that nobody answered is traced to the plugin whose code it came through.

Backward passes, hooks, threads and finalisers call foreign code where no guard stands. The frames of a traceback say
whose modules ran. Looked at only when a command fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from kdcli.errors import PluginError, out_of_memory
from kdcli.plugins import registry
from kdcli.plugins.blame import describe, is_interrupt, is_worker_gone, loaded


def culprit(error: BaseException) -> PluginError | None:
    """Return the error to raise instead, which names whoever is to blame; None where that is nobody but kdcli."""
    if is_interrupt(error) or out_of_memory(error) or is_worker_gone(error):
        return None
    modules = list(_modules(error.__traceback__))
    if modules and modules[-1].startswith("importlib.metadata"):
        return registry.damage(error)
    plugins = loaded()
    for module in reversed(modules):
        exact = [plugin for plugin in plugins if plugin.value.partition(":")[0].strip() == module]
        near = [plugin for plugin in plugins if _package(plugin.value) == _package(module)]
        if near:
            who = exact[0].label if len(exact) == 1 else _together(exact or near)
            return PluginError(f"{who} failed: {describe(error)}; report it to its author")
    return None


def _modules(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next


def _package(name: str) -> str:
    return name.partition(":")[0].strip().partition(".")[0]


def _together(plugins: list[registry.Plugin]) -> str:
    first = plugins[0]
    if len(plugins) == 1:
        return first.label
    return f"a plugin of {first.distribution} {first.version} ({', '.join(sorted({p.name for p in plugins})[:4])})"
