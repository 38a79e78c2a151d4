"""Recipe, flags and settings laid upon one another: the later one wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from kdcli.config.draft import Draft
from kdcli.config.follow import follow
from kdcli.config.others import TABLES, other_keys
from kdcli.config.references import followed_teachers, replaced_teachers
from kdcli.config.schema import RUN_KEYS, RunConfig, StageConfig, TwinConfig
from kdcli.config.values import convert, keys, known_only
from kdcli.documents import literal, parse_toml
from kdcli.errors import ConfigError, nearest

_MAIN_FLAGS = ("steps", "epochs", "lr", "quantised")  # flags that mean the main stage alone


def draft(
    recipe: str, text: str, flags: Mapping[str, Any] | None = None, settings: Iterable[str] = (), *, twin: bool = True
) -> Draft:
    """Lay a recipe's TOML text, flags and ``KEY=VALUE`` settings upon one another.

    ``flags`` holds run and stage keys; those that are None count as not given.

    Raises:
        ConfigError: TOML that does not parse, unknown keys, values of the wrong type.
    """
    settings = tuple(settings)
    document = parse_toml(text, f"recipe '{recipe}'", error=ConfigError)
    _check_tables(recipe, document)
    run = keys(document.get("run", {}), RUN_KEYS, RunConfig, f"[run] of '{recipe}'")
    stage_keys = tuple(f.name for f in fields(StageConfig))
    shared = keys(document.get("defaults", {}), stage_keys, StageConfig, f"[defaults] of '{recipe}'")
    stages = [
        {**shared, **keys(table, stage_keys, StageConfig, f"[[stage]] of '{recipe}'")} for table in document["stage"]
    ]
    for i, stage in enumerate(stages):
        stage.setdefault("name", f"stage{i + 1}")
    if not any(stage.get("train", "student") == "student" for stage in stages):
        raise ConfigError(f"recipe '{recipe}' has no stage that trains the student")
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    if "steps" in given and "epochs" in given:
        raise ConfigError(f"--steps {given['steps']} and --epochs {given['epochs']} exclude each other; give one")
    unsaid: dict[str, str] = {}
    for table in TABLES:
        if table in document:
            other, own = other_keys(table, document[table], stages, given, settings, f"[{table}] of '{recipe}'")
            run |= {key: other.pop(key) for key in RUN_KEYS if key in other}
            stages = [{**stage, **own.get(stage["name"], {})} for stage in _apply_flags(stages, other, unsaid)]
    origins = {f"run.{key}": "recipe" for key in run}
    origins |= {f"{stage['name']}.{key}": "recipe" for stage in stages for key in stage}
    for key in [key for key in given if key in RUN_KEYS]:
        run[key] = convert(key, given.pop(key), RunConfig, f"--{key.replace('_', '-')}")
        origins[f"run.{key}"] = "flag"
    before = {stage["name"]: dict(stage) for stage in stages}
    stages = _apply_flags(stages, given, origins)
    for setting in settings:
        _apply_setting(run, stages, setting, origins)
    twin_keys = tuple(f.name for f in fields(TwinConfig))
    without = keys(document.get("twin", {}), twin_keys, TwinConfig, f"[twin] of '{recipe}'")
    if "teachers" in without:
        main = [stage for stage in stages if stage.get("train", "student") == "student"][-1]
        told = origins.get(f"{main['name']}.teachers", "recipe")
        if told != "recipe":
            old, new = (table.get("teachers", ("demo",)) for table in (before[main["name"]], main))
            without["teachers"], origins["twin.teachers"] = followed_teachers(without["teachers"], old, new), told
    made = Draft(
        recipe=recipe, run=run, stages=stages, origins=origins, twin=without if "twin" in document and twin else None
    )
    follow(made, before)
    return made


def _check_tables(recipe: str, document: Mapping[str, Any]) -> None:
    known_only(document, ("run", "defaults", "stage", "twin", *TABLES), f"recipe '{recipe}'")
    for key in ("run", "defaults", "twin", *TABLES):
        if not isinstance(document.get(key, {}), dict):
            raise ConfigError(f"recipe '{recipe}': '{key}' is no table; begin it with [{key}]")
    if not document.get("stage"):
        raise ConfigError(f"recipe '{recipe}' has no [[stage]]")
    if not isinstance(document["stage"], list) or not all(isinstance(table, dict) for table in document["stage"]):
        raise ConfigError(f"recipe '{recipe}': 'stage' is no list of tables; begin each with [[stage]]")


def _apply_flags(stages: list[dict[str, Any]], given: dict[str, Any], origins: dict[str, str]) -> list[dict[str, Any]]:
    transform = given.pop("transform", None)
    if transform is not None and transform != "fitted":
        # A file or ``none`` takes the place of whatever the recipe would fit.
        stages = [stage for stage in stages if stage.get("train", "student") == "student"]
    students = [stage for stage in stages if stage.get("train", "student") == "student"]
    # Losses of a stage that trains something else (an auxiliary teacher, an alignment) are part of the method.
    own = [stage for stage in students if stage.get("student") is None and "student" not in stage.get("freeze", ())]
    for stage in stages:
        main = stage is students[-1]
        for key, value in given.items():
            if key in _MAIN_FLAGS and not main:
                continue
            if key == "losses" and stage not in own:
                continue
            if key == "teachers":
                value = replaced_teachers(stage.get("teachers", ("demo",)), given["teachers"])
            stage[key], origins[f"{stage['name']}.{key}"] = value, "flag"
            if key in ("steps", "epochs"):
                stage["epochs" if key == "steps" else "steps"] = None
        if transform is not None and stage in students:
            stage["transform"], origins[f"{stage['name']}.transform"] = transform, "flag"
    return stages


def _apply_setting(run: dict[str, Any], stages: list[dict[str, Any]], setting: str, origins: dict[str, str]) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set '{setting}' is not KEY=VALUE; write for example --set distill.lr=1e-4")
    where, _, name = key.strip().replace("-", "_").rpartition(".")
    known = [f.name for f in fields(StageConfig)]
    entry = ""
    if where == "looks" or where.endswith(".looks"):  # one entry of that table
        where, name, entry = where.removesuffix("looks").removesuffix("."), "looks", name
    if name in RUN_KEYS and where in ("", "run"):
        run[name], origins[f"run.{name}"] = convert(name, literal(text), RunConfig, f"--set {key}"), "--set"
        return
    if name not in known:
        everything = [*known, *RUN_KEYS]
        near = nearest(name, everything) or f" Keys: {', '.join(everything)}"  # of which nobody needs all who mistyped
        raise ConfigError(f"--set '{key}' is no key of a recipe.{near}")
    chosen = [stage for stage in stages if where in ("", stage["name"])]
    if not chosen:
        names = [stage["name"] for stage in stages]
        raise ConfigError(
            f"--set '{key}': there is no stage '{where}'.{nearest(where, names)} Stages: {', '.join(names)}"
        )
    for stage in chosen:
        given = literal(text)
        whole = {**dict(stage.get(name, ())), entry: given} if entry else given
        value = convert(name, whole, StageConfig, f"--set {key}")
        stage[name], origins[f"{stage['name']}.{name}"] = value, "--set"
        if name in ("steps", "epochs"):
            stage["epochs" if name == "steps" else "steps"] = None
