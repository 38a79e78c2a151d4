"""Turn whatever the kit is pointed at into something that makes fresh objects: a spec, a factory, or an object."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kdcli.plugins import registry
from kdcli.plugins.versions import RENAMED, advice, supported
from kdcli.protocols import API_VERSION
from kdcli.spec import parse
from kdcli.testing.draws import cpu_seeded
from kdcli.testing.report import Failure, expect

_COPIED = ("loss", "mixer")
"""Kinds that learn and keep: every check gets the object as it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is checked. ``build()`` makes it with the same seed each time; of a given loss or mixer it is a copy, any
    other object is returned as it is."""

    kind: str
    name: str
    build: Callable[[], Any]
    factory: Any = None

    def check_names(self, made: Any) -> None:
        """Expect no member of an older contract in the place of one of this."""
        old = [name for name, now in RENAMED.items() if hasattr(made, name) and not hasattr(made, now)]
        if old or getattr(made, "invariances", None) == frozenset({"none"}):
            raise Failure(advice(self.kind, made))

    def check_version(self) -> None:
        """Expect the factory to state the version of the contract; an object has no factory to ask."""
        if self.factory is not None:
            version: Any = getattr(self.factory, "api_version", None)
            expect(isinstance(version, int), f"api_version is {version!r}, not {API_VERSION}: set it on the class, "
                                             "or decorate the function with kdcli.protocols.plugin")
            todo = advice(self.kind, self.factory) if version == 1 else f"this kdcli speaks {API_VERSION}"
            expect(supported(self.kind, version), f"api_version is {version}: {todo}")


def subject(kind: str, target: Any, options: Mapping[str, Any] | None = None, *, seed: int = 0) -> Subject:
    """Return what to check. target: a spec, a class or function that makes a plugin, or what one made.

    Raises:
        PluginError: a spec that names no plugin, or a broken one.
    """
    if isinstance(target, str):
        plugin, _ = registry.resolve(kind, parse(target))
        factory = registry.load(plugin)
        return Subject(kind=kind, name=target, factory=factory,
                       build=_seeded(lambda: registry.build(kind, target), seed))
    if inspect.isclass(target) or inspect.isroutine(target):
        given = dict(options or {})
        return Subject(kind=kind, name=target.__name__, factory=target, build=_seeded(lambda: target(**given), seed))
    build = (lambda: _copied(target)) if kind in _COPIED else (lambda: target)
    return Subject(kind=kind, name=type(target).__name__, build=build)


def _copied(target: Any) -> Any:
    try:
        return copy.deepcopy(target)
    except Exception:  # it holds what cannot be copied, a generator for example
        return target


def _seeded(make: Callable[[], Any], seed: int) -> Callable[[], Any]:
    def build() -> Any:
        with cpu_seeded(seed):
            return make()

    return build
