"""Values of a study's TOML, checked; every refusal is one line that names the value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kdcli.errors import ConfigError, nearest


def whole(values: Any, key: str, where: str, *, least: int) -> tuple[int, ...]:
    """Return a list of different whole numbers of at least ``least``.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(values, list) or not all(type(v) is int and v >= least for v in values):
        raise ConfigError(f"{key} of {where} must be a list of whole numbers of at least {least}, not {values!r}")
    if len(set(values)) != len(values):
        raise ConfigError(f"{key} of {where} name a number twice: {', '.join(map(str, values))}")
    return tuple(values)


def text_in(value: Any, key: str, where: str) -> str:
    """Return a text.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{key} of {where} must be a text, not {value!r}")
    return value


def one_of(name: Any, known: Iterable[str], where: str, what: str) -> str:
    """Return a name that is known.

    Raises:
        ConfigError: it is not; the message names the nearest.
    """
    known = list(known)
    if name not in known:
        near, listed = nearest(str(name), known), ", ".join(known)
        raise ConfigError(f"{where}: there is no {what} '{name}'.{near} There are: {listed}")
    return str(name)
