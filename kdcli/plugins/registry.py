"""Plugins: discover from metadata, load one at a time, isolate whatever goes wrong.

Entry points are read with the standard library's ``importlib.metadata`` and only here. Discovery imports nothing.
Loading catches everything that a module can do at import short of Ctrl-C, sends what it prints to standard error, and
turns it into one ``PluginError`` for the one who asked for that plugin. A failure is remembered, so that listings can
show it at no cost.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import time
from dataclasses import replace
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import Any

from kdcli.errors import ConfigError, KdcliError, PluginError, nearest
from kdcli.plugins import memory as plugin_memory
from kdcli.plugins.blame import blame, is_interrupt, is_no_memory, own
from kdcli.plugins.blame import describe as describe
from kdcli.plugins.isolate import stdout_to_stderr
from kdcli.plugins.locate import package_folders
from kdcli.plugins.plugin import BUILT_IN
from kdcli.plugins.plugin import GROUPS as GROUPS
from kdcli.plugins.plugin import Plugin as Plugin
from kdcli.protocols import API_VERSION
from kdcli.spec import Spec, bind, parse


@functools.cache
def discover() -> tuple[Plugin, ...]:
    """List all plugins, sorted by kind and name, shadowed ones included. Reads metadata only.

    ``KDCLI_PLUGINS`` restricts third-party distributions to a comma-separated list; empty means built-ins only.
    """
    allowed = os.environ.get("KDCLI_PLUGINS")
    names = None if allowed is None else {_normal(name) for name in allowed.split(",") if name.strip()}
    points = entry_points()
    owners: dict[int, tuple[str, str]] = {}
    found: dict[tuple[str, str, str], Plugin] = {}
    for kind, group in GROUPS.items():
        for point in points.select(group=group):
            owner = owners.get(id(point.dist))
            if owner is None:
                owner = owners[id(point.dist)] = _name_and_version(point.dist)
            distribution, version = owner
            if names is not None and distribution != BUILT_IN and distribution not in names:
                continue
            # The first distribution of a name on sys.path is the one that imports: keep it.
            found.setdefault(
                (kind, point.name, distribution),
                Plugin(kind=kind, name=point.name, distribution=distribution, version=version, value=point.value),
            )
    ordered = sorted(found.values(), key=lambda p: (list(GROUPS).index(p.kind), p.name, not p.built_in, p.distribution))
    winners: dict[tuple[str, str], Plugin] = {}
    listed = []
    for item in ordered:
        winner = winners.setdefault((item.kind, item.name), item)
        listed.append(item if winner is item else replace(item, shadowed_by=winner.address))
    return tuple(listed)


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
        if colon and plugin.distribution == _normal(owner) and _dashed(plugin.name) == _dashed(own_name):
            return plugin
    known = [*names(kind), *(plugin.address for plugin in plugins if colon)]
    raise PluginError(f"there is no {kind} '{name}'.{nearest(name, known)} See: kdcli plugins list")


def resolve(kind: str, spec: Spec) -> tuple[Plugin, Spec]:
    """Return the plugin that a spec names, and the spec under the plugin's own name.

    A first word that is a distribution makes the location the plugin: ``my-package:net:/weights``. Where the word is
    a plugin as well, the location has to name a plugin of that distribution; otherwise it is a location.
    """
    if spec.location is not None:
        owned = {_dashed(p.name) for p in discover() if p.kind == kind and p.distribution == _normal(spec.name)}
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
    if plugin.kind == "recipe":
        raise PluginError(f"recipe '{plugin.name}' is data, not code; use: kdcli recipes show {plugin.name}")
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
    begin = time.perf_counter()
    try:
        with stdout_to_stderr():
            factory = EntryPoint(name=plugin.name, value=plugin.value, group=GROUPS[plugin.kind]).load()
            version = getattr(factory, "api_version", None)
    except BaseException as error:  # a plugin may raise SystemExit or worse at import: it costs only its user
        if is_interrupt(error):
            raise
        reason = f"cannot be loaded: {describe(error)}; update or uninstall that package"
        raise PluginError(f"{plugin.label} {reason}") from error
    took = time.perf_counter() - begin
    if not callable(factory) or not isinstance(version, int):
        raise PluginError(
            f"{plugin.label} is not a plugin: '{plugin.value}' is {type(factory).__name__}, not a class or "
            f"function with api_version (loaded in {took:.1f} s); report it to its author"
        )
    if version != API_VERSION:
        raise PluginError(
            f"{plugin.label} was written for contract {version}, this kdcli speaks {API_VERSION}; "
            f"update {'kdcli' if version > API_VERSION else plugin.distribution}"
        )
    return factory


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
        with stdout_to_stderr(), blame(plugin, f"construction as '{spec}'"):
            made = factory(**given)
    except KdcliError:
        raise
    except BaseException as error:
        if is_interrupt(error) or is_no_memory(error):
            raise
        raise PluginError(f"{kind} '{spec}' of {plugin.distribution} failed: {describe(error)}") from error
    own(made, plugin)
    return made


def recipe_path(plugin: Plugin) -> Path:
    """Return the TOML file that a recipe entry point ``package:file.toml`` names; nothing is executed.

    Raises:
        PluginError: the package or the file does not exist.
    """
    module, _, file = plugin.value.partition(":")
    for folder in package_folders(module.strip()):
        if (path := folder / file.strip()).is_file():
            return path
    raise PluginError(
        f"recipe '{plugin.name}' of {plugin.distribution} names '{plugin.value}', which does not exist; "
        "update or uninstall that package"
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _name_and_version(distribution: Distribution | None) -> tuple[str, str]:
    """Return a distribution's normal name and version; metadata may be missing or damaged."""
    name = version = None
    if distribution is not None:
        with contextlib.suppress(Exception):
            name, version = distribution.name, distribution.version
    return _normal(name or "unknown"), version or "0"
