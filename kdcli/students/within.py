"""The network that a student's spec is about: itself, or the one within the brackets of a student made of another.

What a run says of its student (pretrained weights, the range of depth) is said of that network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kdcli.plugins import registry
from kdcli.spec import Spec, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A spec under its plugin's name, the factory, and the specs around it, innermost first."""

    spec: Spec
    factory: Any
    around: tuple[Callable[[str], Spec], ...] = field(default=())

    def whole(self, spec: Spec) -> Spec:
        """Return the whole spec with another one in the place of this network's."""
        for wrap in self.around:
            spec = wrap(str(spec))
        return spec


def within(text: str) -> Within:
    """Return the network that a student's spec is about.

    Raises:
        SpecError, PluginError: unknown or broken.
    """
    plugin, spec = registry.resolve("student", parse(text))
    factory = registry.load(plugin)
    found = factory.inside(spec) if hasattr(factory, "inside") else None
    if found is None:
        return Within(spec=spec, factory=factory)
    inner = within(found[0])
    return Within(spec=inner.spec, factory=inner.factory, around=(*inner.around, found[1]))
