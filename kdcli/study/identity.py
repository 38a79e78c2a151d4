"""What a run does, as a hash: two cells with the same one would give the same student."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kdcli.config import RunConfig
from kdcli.files import digest

_WORDS = ("recipe", "about", "origins", "reasons", "loggers")
"""Fields that say where a configuration came from and who is told of it, not what it does."""


def essence(config: RunConfig) -> dict[str, Any]:
    """Return all that decides what a run does, flat: ``key`` of the run or ``stage.key``."""
    told = asdict(config)
    stages = told.pop("stages")
    flat = {key: value for key, value in told.items() if key not in _WORDS}
    return flat | {f"{stage['name']}.{key}": value for stage in stages for key, value in stage.items()}


def identity(config: RunConfig) -> str:
    """Return a hash of what a run does."""
    return digest(essence(config))


def differing(one: RunConfig, two: RunConfig) -> list[str]:
    """Return the keys in which two runs differ."""
    first, second = essence(one), essence(two)
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))
