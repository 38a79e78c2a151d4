"""Plugins: discover from metadata, load one at a time, isolate whatever goes wrong.

Discovery reads metadata and imports nothing. Loading catches everything that a module can do at import short of Ctrl-C,
sends what it prints to standard error, and turns it into one ``PluginError`` for the one who asked for that plugin. A
failure is remembered, so that listings can show it at no cost.
"""

from __future__ import annotations

import functools
import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from kdcli.errors import ConfigError, KdcliError, PluginError, nearest, out_of_memory
from kdcli.plugins import memory as plugin_memory
from kdcli.plugins import metadata
from kdcli.plugins.blame import blame, is_interrupt, note_loading, own
from kdcli.plugins.blame import describe as describe
from kdcli.plugins.isolate import stdout_to_stderr
from kdcli.plugins.locate import package_folders
from kdcli.plugins.plugin import BUILT_IN
from kdcli.plugins.plugin import DATA as DATA
from kdcli.plugins.plugin import GROUPS as GROUPS
from kdcli.plugins.plugin import Plugin as Plugin
from kdcli.plugins.versions import advice, supported
from kdcli.protocols import API_VERSION
from kdcli.spec import Spec, bind, parse

_PREFIX = "kdcli."
_unreadable: list[metadata.Unreadable] = []
"""Of the last discovery."""


@functools.cache
def discover() -> tuple[Plugin, ...]:
    """List all plugins, sorted by kind and name, shadowed ones included. Reads metadata only.

    ``KDCLI_PLUGINS`` restricts third-party distributions to a comma-separated list; empty means built-ins only.
    """
    allowed = os.environ.get("KDCLI_PLUGINS")
    names = None if allowed is None else {metadata.normal(name) for name in allowed.split(",") if name.strip()}
    reading = metadata.read(_PREFIX)
    _unreadable[:] = [
        one for one in reading.unreadable if names is None or one.distribution in names or one.distribution == BUILT_IN
    ]
    kinds = {group: kind for kind, group in GROUPS.items()}
    found: dict[tuple[str, str, str], Plugin] = {}
    for point in reading.points:
        kind, distribution = kinds.get(point.group), point.distribution
        if kind is None or (names is not None and distribution != BUILT_IN and distribution not in names):
            continue
        found.setdefault(
            (kind, point.name, distribution),
            Plugin(kind=kind, name=point.name, distribution=distribution, version=point.version, value=point.value),
        )
    ordered = sorted(found.values(), key=lambda p: (list(GROUPS).index(p.kind), p.name, not p.built_in, p.distribution))
    winners: dict[tuple[str, str], Plugin] = {}
    listed = []
    for item in ordered:
        winner = winners.setdefault((item.kind, item.name), item)
        listed.append(item if winner is item else replace(item, shadowed_by=winner.address))
    return tuple(listed)


def unreadable() -> tuple[metadata.Unreadable, ...]:
    """Return the distributions of which something could not be read, so that plugins may be missing."""
    discover()
    return tuple(_unreadable)


def names(kind: str) -> list[str]:
    """Return the names of a kind, each once."""
    return sorted({plugin.name for plugin in discover() if plugin.kind == kind})


def kind_named(text: str) -> str:
    """Return the kind of plugin that a user's word means, singular or plural.

    Raises:
        ConfigError: there is no such kind.
    """
    word = text.lower()
    for kind in GROUPS:
        if word in (kind, GROUPS[kind].rpartition(".")[2]):
            return kind
    raise ConfigError(f"there is no kind of plugin '{text}'.{nearest(word, GROUPS)} Kinds: {', '.join(GROUPS)}")


def find(kind: str, name: str) -> Plugin:
    """Return the plugin of a name or ``distribution:name``.

    Raises:
        PluginError: there is none; the message names the nearest.
    """
    plugins = [plugin for plugin in discover() if plugin.kind == kind]
    for plugin in plugins:
        if plugin.shadowed_by is None and _dashed(plugin.name) == _dashed(name):
            return plugin
    owner, colon, own_name = name.partition(":")
    for plugin in plugins:
        if colon and plugin.distribution == metadata.normal(owner) and _dashed(plugin.name) == _dashed(own_name):
            return plugin
    from kdcli.plugins import elsewhere

    if (told := elsewhere.advice(kind, name)) is not None:
        raise PluginError(f"there is no {kind} '{name}'. {told}")
    known = [*names(kind), *(plugin.address for plugin in plugins if colon)]
    raise PluginError(f"there is no {kind} '{name}'.{nearest(name, known)} See: {see(kind)}")


def see(kind: str) -> str:
    """Return the command that lists what there is of a kind."""
    return "kdcli recipes list" if kind == "recipe" else f"kdcli plugins list --kind {kind}"


def resolve(kind: str, spec: Spec) -> tuple[Plugin, Spec]:
    """Return the plugin that a spec names, and the spec under the plugin's own name.

    A first word that is a distribution makes the location the plugin: ``my-package:net:/weights``. Where the word is
    a plugin as well, the location has to name a plugin of that distribution; otherwise it is a location.
    """
    if spec.location is not None:
        owned = {_dashed(p.name) for p in discover() if p.kind == kind and p.distribution == metadata.normal(spec.name)}
        taken = {_dashed(name) for name in names(kind)}
        name, colon, location = spec.location.partition(":")
        if _dashed(name) in owned or (owned and _dashed(spec.name) not in taken):
            plugin = find(kind, f"{spec.name}:{name}")
            return plugin, Spec(name=plugin.name, location=location if colon else None, options=spec.options)
    plugin = find(kind, spec.name)
    return plugin, replace(spec, name=plugin.name)


@functools.cache
def load(plugin: Plugin) -> Any:
    """Import a plugin's factory and check that it is one.

    Raises:
        PluginError: whatever happened at import, or no callable with a supported ``api_version``.
    """
    if plugin.is_data:
        look = f"recipes show {plugin.name}" if plugin.kind == "recipe" else f"study {plugin.name} --dry-run"
        raise PluginError(f"{plugin.kind} '{plugin.name}' is data, not code; use: kdcli {look}")
    try:
        factory = _load(plugin)
    except PluginError as error:
        if not plugin.built_in:
            reason = str(error).removeprefix(f"{plugin.label} ")
            plugin_memory.remember(plugin.distribution, plugin.version, plugin.value, reason)
        raise
    if not plugin.built_in:
        plugin_memory.remember(plugin.distribution, plugin.version, plugin.value, None)
    return factory


def _load(plugin: Plugin) -> Any:
    if (wrong := metadata.malformed(plugin.value)) is not None:
        raise PluginError(f"{plugin.label} cannot be loaded: {wrong}; reinstall or uninstall {plugin.distribution}")
    note_loading(plugin)
    begin = time.perf_counter()
    try:
        with _kept(plugin, "import"), stdout_to_stderr():
            factory = EntryPoint(name=plugin.name, value=plugin.value, group=GROUPS[plugin.kind]).load()
            version = getattr(factory, "api_version", None)
    except BaseException as error:  # a plugin may raise SystemExit or worse at import: it costs only its user
        if is_interrupt(error):
            raise
        if plugin.built_in and (damaged := damage(error)) is not None:
            raise damaged from error
        reason = f"cannot be loaded: {describe(error)}; update or uninstall that package"
        raise PluginError(f"{plugin.label} {reason}") from error
    took = time.perf_counter() - begin
    if not callable(factory) or not isinstance(version, int):
        raise PluginError(
            f"{plugin.label} is not a plugin: '{plugin.value}' is {type(factory).__name__}, not a class or "
            f"function with api_version (loaded in {took:.1f} s); report it to its author"
        )
    if not supported(plugin.kind, version):
        todo = advice(plugin.kind, factory) if version == 1 else ""
        update = f"update {'kdcli' if version > API_VERSION else plugin.distribution}"
        raise PluginError(
            f"{plugin.label} was written for contract {version}, this kdcli speaks {API_VERSION}; "
            + (f"{update}, or as its author: {todo}" if todo else update)
        )
    return factory


def damage(error: BaseException) -> PluginError | None:
    """Return what to say of an error of ``importlib.metadata``: one damaged distribution stops all who ask it.

    PyTorch does at its import. None where all can be read, or the error has nothing to do with it.
    """
    trace, modules = error.__traceback__, []
    while trace is not None:
        modules.append(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
    bad = unreadable()
    if not bad or not modules or not modules[-1].startswith("importlib.metadata"):
        return None
    return PluginError(
        f"{bad[0].distribution} {bad[0].version} is damaged, and PyTorch cannot be imported beside it: {bad[0].reason}"
    )


def build(kind: str, spec: Spec | str) -> Any:
    """Make the object that a spec describes.

    Raises:
        SpecError: unknown key or bad value. PluginError: unknown or broken plugin, or one that fails to construct.
        KdcliError: whatever the plugin itself raises of this tree passes through.
    """
    plugin, spec = resolve(kind, parse(spec) if isinstance(spec, str) else spec)
    factory = load(plugin)
    given = bind(spec, factory)
    try:
        with _kept(plugin, "construction", seeds=False), stdout_to_stderr(), blame(plugin, f"construction as '{spec}'"):
            made = factory(**given)
    except KdcliError:
        raise
    except BaseException as error:
        if is_interrupt(error) or out_of_memory(error):
            raise
        raise PluginError(f"{kind} '{spec}' of {plugin.distribution} failed: {describe(error)}") from error
    own(made, plugin)
    return made


def _kept(plugin: Plugin, doing: str, *, seeds: bool = True) -> AbstractContextManager[None]:
    """Put back what somebody else's plugin changes around it; kdcli's own are trusted."""
    if plugin.built_in:
        return nullcontext()
    from kdcli.plugins.surroundings import kept

    return kept(f"{doing} of {plugin.label}", seeds=seeds)


def data_file(plugin: Plugin) -> Path:
    """Return the TOML file that an entry point ``package:file.toml`` names; nothing is executed.

    Raises:
        PluginError: the package or the file does not exist.
    """
    module, _, file = plugin.value.partition(":")
    for folder in package_folders(module.strip()):
        if (path := folder / file.strip()).is_file():
            return path
    raise PluginError(
        f"{plugin.kind} '{plugin.name}' of {plugin.distribution} names '{plugin.value}', which does not exist; "
        "update or uninstall that package"
    )


def _dashed(name: str) -> str:
    return name.replace("_", "-")
