"""Values of a recipe, a flag or a setting, checked against the type that the schema gives their key."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from kdcli.config.auto import left_open
from kdcli.errors import ConfigError, nearest
from kdcli.spec import parse_size

RENAMED = {"views": "looks"}
"""Keys of earlier versions."""

_SWITCH = {"true": True, "false": False}

_SORTS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def known_only(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Check that a table has known keys only; hyphens count as underscores.

    Raises:
        ConfigError: an unknown key; the message names the nearest.
    """
    for key in table:
        if key in RENAMED and key not in known:
            raise ConfigError(f"{where} has a key of an earlier version: '{key}' is now '{RENAMED[key]}'")
        if key not in known and key.replace("-", "_") not in known:
            raise ConfigError(f"{where} has an unknown key '{key}'.{nearest(key, known)}")


def keys(table: Mapping[str, Any], known: tuple[str, ...], owner: type, where: str) -> dict[str, Any]:
    """Return a table's values, converted to what the fields of ``owner`` hold.

    Raises:
        ConfigError: an unknown key or a value of the wrong type.
    """
    known_only(table, known, where)
    return {k.replace("-", "_"): convert(k.replace("-", "_"), v, owner, f"{where}: {k}") for k, v in table.items()}


def convert(key: str, value: Any, owner: type, where: str) -> Any:
    """Return a value as what the field ``key`` of ``owner`` holds.

    Raises:
        ConfigError: a value of the wrong type.
    """
    kind = typing.get_type_hints(owner)[key]
    if left_open(key, value):
        return value
    if key == "pretrained" and not isinstance(value, bool):
        if value not in _SWITCH:
            raise ConfigError(f"{where}={value!r} is not {', '.join(_SWITCH)} or auto.{nearest(str(value), _SWITCH)}")
        return _SWITCH[value]
    if key == "eval_size" and value in ("training", "native"):
        return value
    if key == "crop" and value in (None, "none"):
        return None
    if key in ("size", "crop", "eval_size"):
        if isinstance(value, str):
            return parse_size(value)
        whole = isinstance(value, list | tuple) and all(isinstance(side, int) for side in value)
        if not whole or len(value) != 2:
            raise ConfigError(f"{where}={value!r} is no size; write for example \"96x128\"")
        return tuple(value)
    if key == "losses":
        if isinstance(value, str):
            value = {value: 1.0}
        if isinstance(value, Mapping) and all(isinstance(w, int | float) for w in value.values()):
            return tuple((name, float(weight)) for name, weight in value.items())
        raise ConfigError(f"{where} must be a table of loss = weight, not {value!r}")
    if key == "looks":
        if isinstance(value, Mapping) and all(_is_number(w) for w in value.values()):
            return tuple((name, float(weight)) for name, weight in value.items())
        raise ConfigError(f"{where} must be a table of look = weight, for example {{ plain = 0.5 }}, not {value!r}")
    if key == "statistics_weights":
        if isinstance(value, Mapping) and all(isinstance(w, int | float) for w in value.values()):
            return tuple((name, float(weight)) for name, weight in value.items())
        raise ConfigError(f"{where} must be a table of layer = weight, not {value!r}; write {{ \"first:1\" = 10 }}")
    if key == "statistics_layers":
        value = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ConfigError(f"{where} must be a list of layers, not {value!r}; write [\"*layer4*\", \"first:3\"]")
    if key in ("eval_data", "export", "task_loss") and value == "none":
        return None  # for the other keys "none" is a value of its own
    if key == "student" and owner is not None and value in (None, "none"):
        return None
    if key == "loggers" and value in ("none", ["none"], ("none",)):
        return ()
    if key in ("teachers", "mixers", "freeze", "loggers"):
        if key == "teachers" and isinstance(value, Mapping):
            value = [f"{name}={spec}" for name, spec in value.items()]
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ConfigError(f"{where} must be a list of {'names' if key == 'freeze' else 'specs'}, not {value!r}")
    if key == "workers" and value == "auto":
        return value
    if key == "teacher_flip" and isinstance(value, bool):
        value = str(value).lower()
    return _check_type(value, kind, where)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_type(value: Any, kind: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        numbers = isinstance(value, list | tuple) and all(type(part) in (int, float) for part in value)
        if not numbers or len(value) != len(arguments):
            raise ConfigError(f"{where}={value!r} must be {len(arguments)} numbers; write for example [0.9, 1.1]")
        return tuple(map(float, value))
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(
                f"{where}={value!r} is not one of {', '.join(arguments)}.{nearest(str(value), arguments)}"
            )
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        kind = next(argument for argument in arguments if argument is not type(None))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where}={value!r} must be {_SORTS.get(kind, kind.__name__)}")
    return value


QAT = 0.2
"""Share of a stage's steps, at the end, that ``--stage qat`` makes quantisation-aware."""


def stage_share(name: str | None) -> float | None:
    """Return the ``quantised`` that ``--stage`` means; None where it was not given.

    Raises:
        ConfigError: something else than ``qat``.
    """
    if name not in (None, "qat"):
        raise ConfigError(f"--stage '{name}' is none; it can be qat, for students that an int8 file costs too much")
    return None if name is None else QAT


def loss_weights(flags: Iterable[str] | None) -> tuple[tuple[str, float], ...] | None:
    """Parse ``--loss NAME=WEIGHT`` flags; None where there is none.

    Raises:
        ConfigError: a weight that is no number.
    """
    return weights_by_name(flags, "--loss", "l1=0.5") if flags else None


def weights_by_name(flags: Iterable[str], where: str, example: str = "first:1=10") -> tuple[tuple[str, float], ...]:
    """Parse ``NAME=WEIGHT`` flags; the weight is what follows the last ``=``, or 1 where there is none.

    Raises:
        ConfigError: a weight that is no number.
    """
    weights = []
    for flag in flags:
        name, equals, text = flag.rpartition("=")
        if not equals:
            name, text = flag, "1"
        try:
            weights.append((name, float(text)))
        except ValueError:
            raise ConfigError(
                f"{where} '{flag}' has no number as its weight; write NAME=WEIGHT, for example {example}"
            ) from None
    return tuple(weights)
