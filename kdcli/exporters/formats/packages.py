"""Packages of single formats: none of them comes with kdcli itself."""

from __future__ import annotations

import importlib
from typing import Any

from kdcli.errors import ConfigError
from kdcli.exporters.formats.native import quiet


def needed(module: str, extra: str) -> Any:
    """Import a package for a format. extra: which of kdcli's extras brings it, in a release that was tried.

    Raises:
        ConfigError: it is not installed, or does not load here.
    """
    try:
        with quiet():  # several of them print and warn as they load
            return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        wrong = "is not installed" if error.name == package else f"does not load here ({error})"
        raise ConfigError(f"{extra} files need the package {package}, which {wrong}; "
                          f"run: pip install 'kdcli[{extra}]'") from error
