"""Recipe, flags and ``--set`` -> one validated configuration that knows where each value came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdcli.config.auto import AUTO, LARGEST, STAND_INS
from kdcli.config.draft import Draft
from kdcli.config.layers import draft
from kdcli.config.looks import check_looks
from kdcli.config.references import STAGE, check_references, teachers_of
from kdcli.config.schema import RunConfig, StageConfig, TwinConfig
from kdcli.errors import ConfigError
from kdcli.spec import parse


def load(
    recipe: str, text: str, flags: Mapping[str, Any] | None = None, settings: Iterable[str] = (), *, twin: bool = True,
    alone: bool = False,
) -> RunConfig:
    """Resolve a recipe's TOML text with flags and ``KEY=VALUE`` settings.

    ``flags`` holds run and stage keys; those that are None count as not given. alone: look at the recipe without its
    teacher and images: plain values stand in for those that follow from them (``auto``).

    Raises:
        ConfigError: TOML that does not parse, unknown keys, values of the wrong type or range, or left to ``auto``.
    """
    made = draft(recipe, text, flags, settings, twin=twin)
    for stage in made.stages if alone else ():
        if stage.get("batch_size") == LARGEST:
            made.put(stage, "batch_size", STAND_INS["batch_size"], "default")
    for where, key in made.open:
        if not alone:
            raise ConfigError(
                f"{key}={AUTO} of {'the run' if where == 'run' else f'stage {where!r}'} follows from teacher and "
                f"images, which recipe '{recipe}' alone does not have; resolve it by kdcli.configure, or set {key}"
            )
        table = made.run if where == "run" else next(stage for stage in made.stages if stage["name"] == where)
        made.put(table, key, STAND_INS[key], "default")
    return build(made)


def build(made: Draft) -> RunConfig:
    """Return a draft in which nothing is left open as a checked configuration.

    Raises:
        ConfigError: values out of range, or that do not go together.
    """
    for stage in made.stages:
        if stage.get("batch_size") == LARGEST:
            raise ConfigError(
                f"batch_size={LARGEST} of stage '{stage['name']}' is tried out on the device, which 'kdcli distill' "
                "does; give a number here, such as the one that it wrote into RUN/config.toml"
            )
    config = RunConfig(
        recipe=made.recipe,
        stages=tuple(StageConfig(**stage) for stage in made.stages),
        origins=made.origins,
        reasons=tuple(made.reasons),
        twin=None if made.twin is None else TwinConfig(**made.twin),
        **made.run,
    )
    _check(config)
    return config


def _check(config: RunConfig) -> None:
    names = [stage.name for stage in config.stages]
    if len(set(names)) != len(names):
        raise ConfigError(f"stages need different names, not {', '.join(names)}")
    if config.student.startswith(STAGE):
        raise ConfigError(
            f"student '{config.student}' is a stage's: the run's student is a spec; stages name networks by their own "
            "student key"
        )
    check_references(config.stages)
    if config.twin is not None:
        twin = {stage.name: stage for stage in config.twin.stages(config.stages)}
        check_references([twin.get(stage.name, stage) for stage in config.stages])
    for text in config.loggers:
        parse(text)
    fitted = False
    for stage in config.stages:
        fitted = fitted or stage.train == "transform"
        if stage.train == "student" and stage.transform == "fitted" and not fitted:
            raise ConfigError(f"stage '{stage.name}' wants a fitted transformation, but no earlier stage fits one")
        check_looks(stage)
        specs = [config.student, stage.data, *teachers_of(stage).values(), *stage.mixers]
        for text in (*specs, *(name for name, _ in stage.losses), *([stage.student] if stage.student else [])):
            parse(text)
