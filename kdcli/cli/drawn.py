"""What is drawn for an option: whether it can be written is asked before the work that it is to show."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from kdcli.errors import ConfigError

FIGURES = (".png", ".pdf", ".svg")
"""What figures are written as; matplotlib knows more, of which no browser shows any."""


def require_figure(option: str, path: Path | None) -> None:
    """Refuse a figure that could not be written.

    Raises:
        ConfigError: another ending. OSError: a place that takes no file.
    """
    _require(option, path, FIGURES, "figure")


def require_picture(option: str, path: Path | None) -> None:
    """Refuse a picture of pixels that could not be written.

    Raises:
        ConfigError: another ending. OSError: a place that takes no file.
    """
    if path is not None:
        from kdcli.images import IMAGE_SUFFIXES

        _require(option, path, IMAGE_SUFFIXES, "picture")


def _require(option: str, path: Path | None, endings: Collection[str], what: str) -> None:
    from kdcli.files import require_writable

    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise ConfigError(f"{option} '{path}' does not end like a {what}; write for example {path.stem or what}.png")
    require_writable(path)
