"""What was given -> one resolved configuration, with the reasons, and what was built to find them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kdcli import recipes
from kdcli.choosing import recipe as automatic
from kdcli.choosing.built import Built
from kdcli.choosing.fitting import fit_parts
from kdcli.choosing.pretrained import settle_pretrained
from kdcli.choosing.resolve import Resolving
from kdcli.choosing.student_range import follow_range
from kdcli.config.layers import draft
from kdcli.config.load import build
from kdcli.config.schema import RunConfig
from kdcli.recipes.auto import NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A resolved configuration; teachers and sources that were built on the way are to be used again."""

    config: RunConfig
    built: Built


def choose(
    recipe: str | tuple[str, str], flags: Mapping[str, Any] | None = None, settings: Iterable[str] = (), *,
    twin: bool = True, built: Built | None = None,
) -> Choice:
    """Resolve a recipe, or ``auto``, with flags and ``KEY=VALUE`` settings.

    recipe: a name, a TOML file, or name and text. flags: run and stage keys; those that are None count as not given.
    built: teachers and sources that are there already.

    Raises:
        ConfigError: what does not hold, or ``auto`` without a teacher for images without depth. KdcliError: a teacher
            or a source that is looked at cannot be built.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    settings, built, reasons = tuple(settings), built or Built(), []
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
    Resolving(made, built).resolve()
    follow_range(made, built)
    settle_pretrained(made, built)
    if recipe == NAME:
        fit_parts(made, built)
    return Choice(config=build(made), built=built)
