"""Whether the user asked this process to stop. Who handles the signals says so here; who judges errors asks."""

from __future__ import annotations

_seen = False


def note() -> None:
    """Remember that a signal asked the process to stop; for signal handlers."""
    global _seen
    _seen = True


def asked() -> bool:
    """Return whether a signal has asked the process to stop."""
    return _seen
