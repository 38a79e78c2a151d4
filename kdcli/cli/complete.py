"""What the shell offers on Tab. Reads plugin metadata only; nothing of a plugin is imported.

Command modules import this one, so the registry is imported when Tab is pressed and not before.
"""

from __future__ import annotations


def plugin_kind(incomplete: str) -> list[str]:
    """Offer the kinds of plugin."""
    from kdcli.plugins import registry

    return [kind for kind in registry.GROUPS if kind.startswith(incomplete)]


def plugin_name(incomplete: str) -> list[str]:
    """Offer plugins of every kind, those in the shade by their full address."""
    from kdcli.plugins import registry

    offered = {p.name if p.shadowed_by is None else p.address for p in registry.discover()}
    return sorted(name for name in offered if name.startswith(incomplete))


def teacher(incomplete: str) -> list[str]:
    """Offer teachers."""
    return _of("teacher", incomplete)


def student(incomplete: str) -> list[str]:
    """Offer students."""
    return _of("student", incomplete)


def loss(incomplete: str) -> list[str]:
    """Offer losses."""
    return _of("loss", incomplete)


def mixer(incomplete: str) -> list[str]:
    """Offer mixers."""
    return _of("mixer", incomplete)


def source(incomplete: str) -> list[str]:
    """Offer sources."""
    return _of("source", incomplete)


def exporter(incomplete: str) -> list[str]:
    """Offer export formats."""
    return _of("exporter", incomplete)


def logger(incomplete: str) -> list[str]:
    """Offer loggers, and the words for the usual one and for none."""
    return [name for name in ("auto", "none") if name.startswith(incomplete)] + _of("logger", incomplete)


def recipe(incomplete: str) -> list[str]:
    """Offer recipes, and the word that chooses one."""
    return [name for name in ("auto",) if name.startswith(incomplete)] + _of("recipe", incomplete)


def study(incomplete: str) -> list[str]:
    """Offer studies."""
    return _of("study", incomplete)


def _of(kind: str, incomplete: str) -> list[str]:
    from kdcli.plugins import registry

    return [name for name in registry.names(kind) if name.startswith(incomplete)]
