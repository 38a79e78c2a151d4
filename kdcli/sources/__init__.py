"""Where images come from. Each module is one plugin; ``load_source`` makes the one that a spec names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdcli.protocols import Source
    from kdcli.spec import Spec

__all__ = ["load_source"]


def load_source(spec: str | Spec) -> Source:
    """Make the source of a spec such as ``nyu:/data/nyu,split=test``.

    Raises:
        SpecError: a spec that does not parse, or an unknown key. PluginError: an unknown or broken plugin, or one that
        returns no source. DataError: files that are missing or broken.
    """
    from kdcli.errors import PluginError
    from kdcli.plugins.registry import build
    from kdcli.protocols import Source

    source = build("source", spec)
    if not isinstance(source, Source):
        members = ("name", "depth_kind", "__len__", "__getitem__", "check")
        lacking = ", ".join(name for name in members if not hasattr(source, name))
        raise PluginError(f"source '{spec}' made a {type(source).__name__} without {lacking}; report it to its author")
    return source
