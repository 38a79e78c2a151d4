"""``[other-teacher]`` and ``[other-data]`` of a recipe: keys for whoever names a teacher or images of another kind.

What a recipe says of sizes, steps and evaluation is meant for the parts that it names itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from kdcli.config.auto import AUTO
from kdcli.config.references import STAGE, named
from kdcli.config.schema import RUN_KEYS, RunConfig, StageConfig
from kdcli.config.values import convert, keys, known_only
from kdcli.documents import literal
from kdcli.spec import Spec, members, parse

TABLES = ("other-data", "other-teacher")
"""In the order in which they are applied: where both hold, the teacher's wins."""
GROUND_TRUTH = "ground-truth"
"""The teacher that is no network: the depth that images come with."""


def other_keys(
    table: str, values: Mapping[str, Any], stages: Sequence[Mapping[str, Any]], given: Mapping[str, Any],
    settings: Iterable[str], where: str,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the keys of such a table, checked, and those for one stage alone (``fit.steps``) by its name; none where
    it does not hold.

    ``other-teacher`` holds where a teacher is named that is a network and none of the recipe's, ``other-data`` where a
    source is named of another plugin than the recipe's.

    Raises:
        ConfigError: an unknown key or stage, or a value of the wrong type.
    """
    stage_keys = tuple(f.name for f in fields(StageConfig) if f.name not in (*RUN_KEYS, "name", "train", "teachers"))
    names = [str(stage["name"]) for stage in stages]
    own = {key: value for key, value in values.items() if key in names and isinstance(value, dict)}
    known_only({key: value for key, value in values.items() if key not in own}, (*RUN_KEYS, *stage_keys), where)
    run = {key: value for key, value in values.items() if key.replace("-", "_") in RUN_KEYS}
    stage = {key: value for key, value in values.items() if key not in run and key not in own}
    checked = keys(run, RUN_KEYS, RunConfig, where) | keys(stage, stage_keys, StageConfig, where)
    of_stages = {name: keys(own[name], stage_keys, StageConfig, f"{where}, stage '{name}'") for name in own}
    holds = _other_teacher if table == "other-teacher" else _other_data
    return (checked, of_stages) if holds(stages, given, settings) else ({}, {})


def _other_teacher(
    stages: Sequence[Mapping[str, Any]], given: Mapping[str, Any], settings: Iterable[str]
) -> bool:
    mine = {_plain(entry) for stage in stages for entry in stage.get("teachers", ("demo",))}
    theirs = [spec for spec in named_teachers(given, settings) if spec.name != GROUND_TRUTH]
    return any(str(spec) not in mine for spec in theirs)


def _other_data(stages: Sequence[Mapping[str, Any]], given: Mapping[str, Any], settings: Iterable[str]) -> bool:
    new = named_data(given, settings)
    mine = {name for stage in stages for name in _kinds(stage.get("data", "sim:blocks"))}
    return new is not None and new != AUTO and not _kinds(new) <= mine


def named_teachers(given: Mapping[str, Any], settings: Iterable[str]) -> list[Spec]:
    """Return the teachers that somebody named by flag or setting; results of stages are none."""
    entries = given.get("teachers") or ()
    for value in _set(settings, "teachers"):
        entries = convert("teachers", value, StageConfig, "--set teachers")
    return [parse(spec) for _, spec in map(named, entries) if not spec.startswith(STAGE)]


def named_data(given: Mapping[str, Any], settings: Iterable[str]) -> str | None:
    """Return the source of training images that somebody named by flag or setting."""
    found = [str(value) for value in _set(settings, "data")]
    return found[-1] if found else given.get("data")


def _set(settings: Iterable[str], name: str) -> list[Any]:
    """Return the values of a stage's key among ``KEY=VALUE`` settings."""
    pairs = [setting.partition("=")[::2] for setting in settings]
    return [literal(text) for key, text in pairs if key.strip().replace("-", "_").rpartition(".")[2] == name]


def _plain(entry: str) -> str:
    spec = named(entry)[1]
    return spec if spec.startswith(STAGE) else str(parse(spec))


def _kinds(data: str) -> set[str]:
    """Return the names of the sources that a spec is made of: of a mix those of its members."""
    spec = parse(data)
    if spec.location is None or not (spec.location.startswith("[") and "|" in spec.location):
        return {spec.name}
    return {name for member in members(spec.location) for name in _kinds(member)}
