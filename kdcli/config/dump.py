"""A configuration as a recipe again."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from kdcli.config.schema import RUN_KEYS, RunConfig, StageConfig, TwinConfig


def dump(config: RunConfig) -> str:
    """Write a configuration as a recipe that repeats it, each value followed by its origin."""
    lines = ["[run]"]
    for key in RUN_KEYS:
        lines += _line(key, getattr(config, key), config.origins.get(f"run.{key}", "default"))
    for stage in config.stages:
        lines += ["", "[[stage]]"]
        for f in fields(StageConfig):
            lines += _line(f.name, getattr(stage, f.name), config.origins.get(f"{stage.name}.{f.name}", "default"))
    if config.twin is not None:
        lines += ["", "[twin]"]
        for f in fields(TwinConfig):
            lines += _line(f.name, getattr(config.twin, f.name), config.origins.get(f"twin.{f.name}", "recipe"))
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, origin: str) -> list[str]:
    if value is None:
        return [f"{key} = \"none\"  # {origin}"] if key in ("export", "eval_data") else []
    return [f"{key} = {_toml(value, key)}  # {origin}"]


def _toml(value: Any, key: str = "") -> str:
    if key in ("size", "crop", "eval_size") and isinstance(value, tuple):
        return f'"{value[0]}x{value[1]}"'
    if key in ("losses", "looks", "statistics_weights"):
        return "{}" if not value else "{ " + ", ".join(f"{_toml(name)} = {weight!r}" for name, weight in value) + " }"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)


def quoted(text: str) -> str:
    """Return a text as a string of TOML, which escapes as JSON does but for one control more."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
