"""``kdcli.configure``: the options of ``kdcli distill`` from Python."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from kdcli.choosing.chosen import choose
from kdcli.config.schema import RUN_KEYS, RunConfig, StageConfig
from kdcli.config.values import convert
from kdcli.errors import ConfigError, nearest
from kdcli.recipes.auto import NAME

_WORDS = {"teacher": "teachers", "mixer": "mixers", "loss": "losses", "logger": "loggers"}
"""Options of ``kdcli distill`` whose key in a recipe is another word."""


def configure(recipe: str | Path = NAME, *, twin: bool = True, set: Iterable[str] = (), **options: Any) -> RunConfig:
    """Return the resolved configuration that ``kdcli distill`` would run.

    options: those of the command line by name (``teacher``, ``student``, ``data``, ``size`` ...) and any other key of a
    run or a stage; several teachers or mixers are a list, losses a table of weights. set: ``STAGE.KEY=VALUE``.

    Raises:
        ConfigError: an option that there is not, or whatever else ``kdcli distill`` refuses. KdcliError: a teacher or a
            source that is looked at cannot be built.
    """
    stage_keys = [f.name for f in fields(StageConfig) if f.name not in ("name", "train")]
    flags: dict[str, Any] = {}
    for word, value in options.items():
        key = _WORDS.get(word, word)
        if key not in (*RUN_KEYS, *stage_keys):
            known = [*_WORDS, *RUN_KEYS, *stage_keys]
            raise ConfigError(f"there is no option '{word}'.{nearest(word, known)} Options: {', '.join(known)}")
        if value is not None:
            flags[key] = convert(key, value, RunConfig if key in RUN_KEYS else StageConfig, word)
    nothing = [f'{key}="none"' for key, value in flags.items() if value is None]  # as a flag it would not count
    return choose(str(recipe), flags, (*nothing, *set), twin=twin).config
