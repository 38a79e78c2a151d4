"""The ``set`` of an arm: keys of a recipe or flags of ``kdcli distill``, checked for ``kdcli.config.load``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from kdcli.config.dump import quoted
from kdcli.config.schema import RUN_KEYS, RunConfig, StageConfig
from kdcli.config.values import convert
from kdcli.errors import ConfigError, nearest

SHARED = ("eval_data", "protocol", "align")
"""Keys of ``[study]`` that say how every arm is measured."""
_WORDS = {"teacher": "teachers", "mixer": "mixers", "loss": "losses", "logger": "loggers"}
"""Flags of ``kdcli distill`` whose key in a recipe is another word."""
_STAGE_KEYS = tuple(f.name for f in fields(StageConfig) if f.name not in ("name", "train"))


def flags_and_settings(table: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
    """Return flags and ``STAGE.KEY=VALUE`` settings for ``kdcli.config.load``.

    A plain key means what the flag of that name means: ``steps``, ``epochs`` and ``lr`` the main stage, ``transform``
    the stages that train the student, anything else every stage. ``stage.key`` means that stage alone.

    Raises:
        ConfigError: an unknown key, one that the study decides, or a value of the wrong type.
    """
    flags: dict[str, Any] = {}
    settings = []
    for key, value in table.items():
        stage, dot, name = key.replace("-", "_").rpartition(".")
        name = _WORDS.get(name, name)
        if name in (*SHARED, "seed"):
            raise ConfigError(f"{where} sets '{key}', which is the same for all arms; set it in [study]")
        if name not in (*_STAGE_KEYS, *RUN_KEYS):
            known = [*_STAGE_KEYS, *(k for k in RUN_KEYS if k not in (*SHARED, "seed", "about"))]
            raise ConfigError(f"{where} has an unknown key '{key}'.{nearest(name, known)} Keys: {', '.join(known)}")
        owner = RunConfig if name in RUN_KEYS else StageConfig
        checked = convert(name, value, owner, f"{where}: {key}")
        if dot or checked is None:  # a flag that is None would count as not given
            settings.append(f"{stage}.{name}={toml_value(value)}" if dot else f"{name}={toml_value(value)}")
        else:
            flags[name] = checked
    return flags, settings


def toml_value(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{quoted(name)} = {toml_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return quoted(value) if isinstance(value, str) else repr(value) if isinstance(value, float) else json.dumps(value)
