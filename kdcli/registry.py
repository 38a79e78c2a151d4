"""Plugins: discover from metadata, load one at a time, isolate whatever goes wrong.

Entry points are read with the standard library's ``importlib.metadata`` and only here. Discovery imports nothing.
Loading catches everything that a module can do at import short of Ctrl-C, sends what it prints to standard error, and
turns it into one ``PluginError`` for the one who asked for that plugin.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from kdcli.errors import KdcliError, PluginError, nearest
from kdcli.protocols import API_VERSION
from kdcli.spec import Spec, bind, parse

GROUPS = {
    "teacher": "kdcli.teachers",
    "student": "kdcli.students",
    "loss": "kdcli.losses",
    "mixer": "kdcli.mixers",
    "source": "kdcli.sources",
    "exporter": "kdcli.exporters",
    "recipe": "kdcli.recipes",
}
"""Kind of plugin -> entry-point group."""

BUILT_IN = "kdcli"
"""The distribution whose plugins win a name collision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point, as its metadata describes it."""

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    shadowed_by: str | None = None

    @property
    def built_in(self) -> bool:
        """Whether it is one of kdcli's own."""
        return self.distribution == BUILT_IN

    @property
    def address(self) -> str:
        """``distribution:name``, which always means this one."""
        return f"{self.distribution}:{self.name}"


@functools.cache
def discover() -> tuple[Plugin, ...]:
    """List all plugins, sorted by kind and name, shadowed ones included. Reads metadata only.

    ``KDCLI_PLUGINS`` restricts third-party distributions to a comma-separated list; empty means built-ins only.
    """
    allowed = os.environ.get("KDCLI_PLUGINS")
    names = None if allowed is None else {_normal(name) for name in allowed.split(",") if name.strip()}
    points = entry_points()
    found: dict[tuple[str, str, str], Plugin] = {}
    for kind, group in GROUPS.items():
        for point in points.select(group=group):
            distribution = _normal(point.dist.name) if point.dist else "unknown"
            if names is not None and distribution != BUILT_IN and distribution not in names:
                continue
            version = point.dist.version if point.dist else "0"
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


def find(kind: str, name: str) -> Plugin:
    """Return the plugin of a name or ``distribution:name``.

    Raises:
        PluginError: there is none; the message names the nearest.
    """
    plugins = [plugin for plugin in discover() if plugin.kind == kind]
    wanted = name.replace("_", "-")
    for plugin in plugins:
        if plugin.shadowed_by is None and plugin.name.replace("_", "-") == wanted:
            return plugin
    for plugin in plugins:
        if plugin.address == name:
            return plugin
    known = names(kind)
    raise PluginError(f"there is no {kind} '{name}'.{nearest(name, known)} See: kdcli plugins list")


def resolve(kind: str, spec: Spec) -> tuple[Plugin, Spec]:
    """Return the plugin that a spec names, and the spec under the plugin's own name.

    A first word that is no plugin but a distribution makes the location the plugin: ``my-package:net:/weights``.
    """
    owned = {p.name for p in discover() if p.kind == kind and p.distribution == _normal(spec.name)}
    if spec.location is not None and owned and spec.name.replace("_", "-") not in {n.replace("_", "-") for n in names(kind)}:
        name, colon, location = spec.location.partition(":")
        plugin = find(kind, f"{_normal(spec.name)}:{name}")
        return plugin, Spec(name=plugin.name, location=location if colon else None, options=spec.options)
    plugin = find(kind, spec.name)
    return plugin, replace(spec, name=plugin.name)


@functools.cache
def load(plugin: Plugin) -> Any:
    """Import a plugin's factory and check that it is one.

    Raises:
        PluginError: whatever happened at import, or no callable with a supported ``api_version``.
    """
    who = f"{plugin.kind} '{plugin.name}' of {plugin.distribution} {plugin.version}"
    begin = time.perf_counter()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            factory = EntryPoint(name=plugin.name, value=plugin.value, group=GROUPS[plugin.kind]).load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise SystemExit or worse at import: it costs only its user
        raise PluginError(f"{who} cannot be loaded: {describe(error)}; update or uninstall that package") from error
    took = time.perf_counter() - begin
    version = getattr(factory, "api_version", None)
    if not callable(factory) or not isinstance(version, int):
        raise PluginError(
            f"{who} is not a plugin: '{plugin.value}' is {type(factory).__name__}, not a class or function with "
            f"api_version (loaded in {took:.1f} s); report it to its author"
        )
    if version != API_VERSION:
        raise PluginError(
            f"{who} was written for contract {version}, this kdcli speaks {API_VERSION}; "
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
    options = bind(spec, factory)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return factory(**options)
    except (KdcliError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginError(f"{kind} '{spec}' of {plugin.distribution} failed: {describe(error)}") from error


def recipe_path(plugin: Plugin) -> Path:
    """Return the TOML file that a recipe entry point ``package:file.toml`` names; nothing is executed.

    Raises:
        PluginError: the package or the file does not exist.
    """
    module, _, file = plugin.value.partition(":")
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder, file)).is_file():
            return path
    raise PluginError(f"recipe '{plugin.name}' of {plugin.distribution} names '{plugin.value}', which does not exist")


def describe(error: BaseException) -> str:
    """Return an exception as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
