"""``importlib.metadata.entry_points`` as others call it: a damaged distribution costs only itself.

The standard library reads the entry points of everything that is installed for anyone who asks for one group, and
raises for one bad line in any of them. PyTorch asks at its import (for device backends), so that one such package would
stop every command that needs it.
"""

from __future__ import annotations

import functools
import importlib.metadata as metadata
from collections.abc import Iterator
from typing import Any


def be_lenient() -> None:
    """Have ``entry_points`` leave out, in this process, what it would raise for. What is sound is as it was."""
    strict = metadata.entry_points
    if getattr(strict, "lenient", False):
        return

    @functools.wraps(strict)
    def entry_points(**chosen: Any) -> Any:
        try:
            return strict(**chosen)
        except Exception:  # of whatever the damage makes the reader raise; discovery names it
            return metadata.EntryPoints(_sound()).select(**chosen)

    entry_points.lenient = True  # type: ignore[attr-defined]
    metadata.entry_points = entry_points


def _sound() -> Iterator[metadata.EntryPoint]:
    """Yield what can be read, of each distribution the first on ``sys.path``."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            name, points = distribution.name, list(distribution.entry_points)
        except Exception:
            continue
        if name not in seen:
            seen.add(name)
            yield from points
