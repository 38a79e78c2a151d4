"""Packages that only some formats need, imported when such a file is met."""

from __future__ import annotations

import importlib
from typing import Any

from kdcli.errors import DataError
from kdcli.rasters.places import Place

EXTRA = "pip install 'kdcli[data]'"
"""What brings all of them."""


def needed(name: str, place: Place, what: str) -> Any:
    """Import a package for a file.

    what: the format, for the message.

    Raises:
        DataError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise DataError(f"'{place}' is {what}, which the package {package} reads; run {EXTRA}") from None
