"""Protocols from TOML files: one table each, its name the table's.

A table says only what differs from ``Protocol``'s defaults, or from the protocol that it is ``like``.
``max_depth = inf`` is no cap.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from kdcli.documents import misfit, parse_toml, read_text
from kdcli.errors import ConfigError, nearest
from kdcli.evals.crops import Box, Frame
from kdcli.evals.rules import Aggregation, Alignment, Fit, Protocol
from kdcli.evals.sense import refuse_nonsense

_ADVICE = "see kdcli/evals/protocols for examples"
_PAIR = [float, float]
_SIZE = [int, int]
_SHAPES: dict[str, Any] = {
    "like": str, "measures": str, "used_by": str, "band": float,
    "frame": {"height": int, "width": int, "short_side?": int, "bottom?": bool, "paste?": bool, "stretch?": bool,
              "then?": _SIZE, "sampling?": str},
    "crop": {"rows": _PAIR, "columns": _PAIR, "of?": _SIZE, "unit?": str},
    "min_depth": float, "max_depth": float, "clamp": bool, "clip_to": _PAIR, "resize": str, "alignment": str,
    "fit": {"floor?": float, "beyond?": str, "positive?": bool, "side?": int}, "aggregation": str, "flip": bool,
    "clip_views": bool, "delta_inclusive": bool, "least": int, "truth": str, "extras": [str],
}  # fmt: skip
"""What each key of a table holds."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "alignment": get_args(Alignment), "aggregation": get_args(Aggregation), "truth": ("measured", "teacher"),
    "resize": ("model", "bilinear", "bilinear-corners", "bicubic", "nearest"), "frame.sampling": ("smooth", "nearest"),
    "crop.unit": ("share", "pixel"), "fit.beyond": ("far", "near"),
}  # fmt: skip
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


def installed() -> Mapping[str, Protocol]:
    """Return the protocols that kdcli brings along, by name, in the order of their files."""
    folder = files("kdcli.evals").joinpath("protocols")
    made: dict[str, Protocol] = {}
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            for protocol in _parsed(file.read_text("utf-8"), f"protocols/{file.name}", made):
                made[protocol.name] = protocol
    return MappingProxyType(made)


def of_file(path: str) -> Protocol:
    """Return the one protocol that a TOML file of one's own holds; it may be ``like`` one that kdcli brings along.

    Raises:
        ConfigError: a file that cannot be read, holds none or several, or says what no protocol has.
    """
    text = read_text(Path(path), _ADVICE, error=ConfigError)
    found = list(_parsed(text, f"'{path}'", installed()))
    if len(found) != 1:
        raise ConfigError(f"'{path}' holds {len(found)} protocols; write one, as a table with its name: [my-protocol]")
    return found[0]


def _parsed(text: str, where: str, known: Mapping[str, Protocol]) -> Iterator[Protocol]:
    for name, table in parse_toml(text, where, _ADVICE, error=ConfigError).items():
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: '{name}' stands outside a protocol; write it below its name: [my-protocol]")
        if not _NAME.fullmatch(name) or name.endswith(".toml"):
            raise ConfigError(f"{where}: a protocol cannot be called '{name}'; use small letters, digits, - and .")
        yield _protocol(name, table, f"{where}, [{name}]", known)


def _protocol(name: str, table: dict[str, Any], where: str, known: Mapping[str, Protocol]) -> Protocol:
    _check(table, where)
    content = {key: _value(key, value) for key, value in table.items() if key != "like"}
    if "like" not in table:
        made = Protocol(name=name, **content)
    else:
        base = table["like"]
        if base not in known:
            raise ConfigError(f"{where}: like = '{base}' is unknown.{nearest(base, known)}")
        said = {"measures": "", "used_by": "", **content}
        made = replace(known[base], name=name, **said)
    refuse_nonsense(made, where)
    return made


def _check(table: dict[str, Any], where: str) -> None:
    for key, value in table.items():
        if key not in _SHAPES:
            raise ConfigError(f"{where}: key '{key}' is unknown.{nearest(key, _SHAPES)} Known: {', '.join(_SHAPES)}")
        if wrong := misfit(value, _SHAPES[key], key):
            raise ConfigError(f"{where}: {wrong}")
        for inner in value if isinstance(value, dict) else ():
            allowed = [one.removesuffix("?") for one in _SHAPES[key]]
            if inner not in allowed:
                raise ConfigError(f"{where}: key '{key}.{inner}' is unknown.{nearest(inner, allowed)}")
            _choice(f"{key}.{inner}", value[inner], where)
        _choice(key, value, where)


def _choice(key: str, value: Any, where: str) -> None:
    if key in _CHOICES and value not in _CHOICES[key]:
        raise ConfigError(
            f"{where}: {key} = '{value}' is unknown.{nearest(str(value), _CHOICES[key])} "
            f"Known: {', '.join(_CHOICES[key])}"
        )


def _value(key: str, value: Any) -> Any:
    """Return what TOML says as the field's own type, so that 10 and 10.0 are one protocol."""
    made: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
    if key == "frame":
        return Frame(**_with_tuple(made, "then"))
    if key == "crop":
        number = int if "of" in made or made.get("unit") == "pixel" else float
        for inner in ("rows", "columns"):
            made[inner] = tuple(map(number, made[inner]))
        return Box(**_with_tuple(made, "of"))
    if key == "fit":
        if "floor" in made:
            made["floor"] = float(made["floor"])
        return Fit(**made)
    if key == "clip_to":
        return float(value[0]), None if math.isinf(value[1]) and value[1] > 0 else float(value[1])
    if key == "extras":
        return tuple(value)
    if key == "max_depth":
        return None if math.isinf(value) and value > 0 else float(value)
    if key in ("min_depth", "band"):
        return float(value)
    return value


def _with_tuple(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {**table, key: tuple(table[key])} if key in table else table


assert set(_SHAPES) - {"like"} == {field.name for field in fields(Protocol)} - {"name", "origin"}
