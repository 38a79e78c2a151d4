"""What was given -> one resolved configuration, with the reasons, and what was built to find them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kdcli import recipes
from kdcli.choosing import recipe as automatic
from kdcli.choosing.built import Built
from kdcli.choosing.fitting import fit_parts
from kdcli.choosing.pretrained import settle_pretrained
from kdcli.choosing.resolve import Resolving
from kdcli.choosing.student_range import follow_range
from kdcli.config.auto import AUTO, LARGEST
from kdcli.config.draft import Draft
from kdcli.config.layers import draft
from kdcli.config.load import build
from kdcli.config.schema import RunConfig
from kdcli.recipes.auto import NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A resolved configuration; teachers and sources that were built on the way are to be used again."""

    config: RunConfig
    built: Built


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A batch size that was tried out."""

    images: int
    why: str


TryOut = Callable[[RunConfig, Built, str], Found]
"""Finds the largest batch of a stage, by its name, of a configuration in which it is one image."""


def choose(
    recipe: str | tuple[str, str], flags: Mapping[str, Any] | None = None, settings: Iterable[str] = (), *,
    twin: bool = True, built: Built | None = None, try_out: TryOut | None = None,
) -> Choice:
    """Resolve a recipe, or ``auto``, with flags and ``KEY=VALUE`` settings.

    recipe: a name, a TOML file, or name and text. flags: run and stage keys; those that are None count as not given.
    built: teachers and sources that are there already. try_out: finds the largest batches that fit, where they are
    asked for; without it that is refused.

    Raises:
        ConfigError: what does not hold, or ``auto`` without a teacher for images without depth. KdcliError: a teacher
            or a source that is looked at cannot be built.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    if given.get("batch_size") == AUTO:
        given["batch_size"] = LARGEST
    asked, built = tuple(settings), built or Built()
    made, wanted = _filled(recipe, given, asked, twin, built, {})
    if wanted and try_out is not None:
        trial = build(made)
        made, _ = _filled(recipe, given, asked, twin, built, {name: try_out(trial, built, name) for name in wanted})
    elif wanted:
        for stage in made.stages:
            if stage["name"] in wanted:
                stage["batch_size"] = LARGEST  # which says why not
    return Choice(config=build(made), built=built)


def _filled(
    recipe: str | tuple[str, str], given: Mapping[str, Any], settings: tuple[str, ...], twin: bool, built: Built,
    found: Mapping[str, Found],
) -> tuple[Draft, list[str]]:
    """Return a draft in which nothing is left open, and the stages whose batch is to be the largest that fits.

    found: their sizes, by name; one image where it is not known yet.
    """
    given, reasons = dict(given), list[str]()
    if recipe == NAME:
        which = automatic.which(given, settings, built)
        if "data" in given and which.data != given["data"]:
            given["data"] = which.data
            reasons.append(f"training on {which.data}")
        reasons.insert(0, which.why)
        name, text = recipes.read(which.recipe)
    else:
        name, text = recipe if isinstance(recipe, tuple) else recipes.read(recipe)
    made = draft(name, text, given, settings, twin=twin)
    made.reasons[:0] = reasons
    wanted = []
    for stage in made.stages:
        if stage.get("batch_size") != LARGEST:
            continue
        if stage.get("train", "student") != "student":  # what it fits is seen by all of its steps together
            made.put(stage, "batch_size", AUTO, AUTO)
            continue
        name = str(stage["name"])
        wanted.append(name)
        made.put(stage, "batch_size", found[name].images if name in found else 1, AUTO)
        if name in found:
            made.reasons.append(found[name].why)
    Resolving(made, built).resolve()
    follow_range(made, built)
    settle_pretrained(made, built)
    if recipe == NAME:
        fit_parts(made, built)
    return made, wanted
