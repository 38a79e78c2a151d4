"""Packages of single loggers: none of them comes with kdcli itself."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from kdcli.errors import ConfigError


def needed(module: str, extra: str) -> Any:
    """Import a package for a logger. extra: which of kdcli's extras brings it, in a release that was tried.

    Raises:
        ConfigError: it is not installed, or does not load here.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        wrong = "is not installed" if error.name == package else f"does not load here ({error})"
        raise ConfigError(
            f"logger '{extra}' needs the package {package}, which {wrong}; run: pip install 'kdcli[{extra}]', or leave "
            "the logger out"
        ) from error


def flat(values: Mapping[str, Any], most: int = 500) -> dict[str, str]:
    """Return nested plain values as texts by dotted name, for services that take no more; ``most`` letters each."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": text for name, text in flat(value, most).items()}
        elif value is not None:
            found[key] = str(value)[:most]
    return found
