"""Which versions of the contract a kind of plugin may be written for, and what authors of older ones have to change."""

from __future__ import annotations

from typing import Any

from kdcli.protocols import API_VERSION

CHANGED = frozenset({"loss", "mixer"})
"""Kinds for which version 2 means something else than version 1; the others are taken as they were."""

RENAMED = {"min_value": "value_at_equality", "task_weight": "pixel_weight"}
"""Members of a loss: name in version 1 -> name now."""


def supported(kind: str, version: int) -> bool:
    """Whether this kdcli can work with a plugin of a kind that was written for a version."""
    return version == API_VERSION or (version == 1 and kind not in CHANGED)


def advice(kind: str, factory: Any) -> str:
    """Return in one line what the author of a plugin for version 1 has to change; looks at the factory alone."""
    if kind == "mixer":
        return "ctx.step counts updates now and ctx.batch_number batches; look at both, then set api_version = 2"
    todo = [f"rename {old} to {new}" for old, new in RENAMED.items() if hasattr(factory, old)]
    if getattr(factory, "invariances", None) == frozenset({"none"}):
        todo.append("invariances = frozenset() for none")
    needs = getattr(factory, "needs", None)
    if needs is None or not getattr(needs, "kinds", None):
        todo.append("state needs.kinds (kdcli.types.ANY_KIND, POSITIVE_DEPTH or a set)")
    if getattr(needs, "ground_truth", False):
        todo.append("needs.task_map for ctx.task_map, needs.ground_truth for ctx.truth")
    todo.append("ctx.step counts updates now and ctx.batch_number batches")
    return "; ".join([*todo, "then set api_version = 2"])
