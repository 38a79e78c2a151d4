"""Find where a module lies without importing it, nor the packages above it.

``importlib.util.find_spec`` runs the ``__init__`` of every parent of a dotted name; a listing of plugins must run
nothing. The finders that Python itself would ask are asked directly, one level at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path


def module_spec(name: str) -> ModuleSpec | None:
    """Return the spec of a dotted module name, or None where an import would not find it."""
    parts = name.split(".")
    search: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    for depth in range(1, len(parts) + 1):
        spec = _ask(".".join(parts[:depth]), search)
        if spec is None:
            return None
        search = spec.submodule_search_locations
        if search is None and depth < len(parts):
            return None
    return spec


def module_file(name: str) -> Path | None:
    """Return the file that an import of a module would read; None for namespace packages and unknown names."""
    spec = module_spec(name)
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def package_folders(name: str) -> list[Path]:
    """Return the folders of a package; empty when there is none of that name."""
    spec = module_spec(name)
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec is not None else []


def _ask(name: str, search: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            spec = find(name, search, None) if find is not None else None
        except Exception:  # somebody's broken import hook is no reason to fail a listing
            spec = None
        if spec is not None:
            return spec  # type: ignore[no-any-return]
    return None
