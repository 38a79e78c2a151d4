"""Turn whatever the kit is pointed at into something that makes fresh objects: a spec, a factory, or an object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kdcli.plugins import registry
from kdcli.plugins.versions import advice, supported
from kdcli.protocols import API_VERSION
from kdcli.spec import parse
from kdcli.testing.report import expect


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is checked. ``build()`` makes it with the same seed each time; a given object is returned as it is."""

    kind: str
    name: str
    build: Callable[[], Any]
    factory: Any = None

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
    return Subject(kind=kind, name=type(target).__name__, build=lambda: target)


def _seeded(make: Callable[[], Any], seed: int) -> Callable[[], Any]:
    def build() -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return make()

    return build
