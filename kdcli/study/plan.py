"""A study's TOML -> a frozen, validated grid of cells, each with the configuration of its run.

::

    [study]
    name = "mixing"
    about = "what object-wise mixing brings"
    metrics = ["delta1", "abs_rel"]       # the first one is what reports show first
    eval_data = "sim:rooms,count=384,seed=1000"
    protocol = "plain"
    seeds = [0, 1, 2]
    counts = [500, 3000]                  # training images; {count} in a text is replaced by each
    counted = "images"                    # what they are, for tables and plots, for example "steps"
    reference = "plain"                   # the arm that the others are compared with
    contrasts = [["mixed@500", "plain@3000"]]
    set = { data = "{images},count={count}", steps = 400 }

    [[arm]]
    name = "plain"
    recipe = "plain"

    [[arm]]
    name = "mixed"
    label = "object-wise mixing"
    recipe = "data-free"
    set = { transform = "none" }

    [variables]
    images = { about = "source of the training images", default = "sim:blocks" }

A table ``[search]`` is for ``kdcli.study.search`` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdcli.config.auto import AUTO
from kdcli.config.sizes import MOST_CELLS
from kdcli.config.values import known_only
from kdcli.documents import parse_toml
from kdcli.errors import ConfigError
from kdcli.recipes import read as read_recipe
from kdcli.study.checks import one_of, text_in, whole
from kdcli.study.grid import IMAGES, Arm, Cell, Study, group_title
from kdcli.study.identity import identity
from kdcli.study.overrides import SHARED, flags_and_settings
from kdcli.study.variables import COUNT, SEED, fill, resolve, used

STUDY_KEYS = (
    "name", "about", "metrics", "metric", "reference", "contrasts", "seeds", "counts", "counted", "recipe", "set",
    *SHARED,
)  # fmt: skip
ARM_KEYS = ("name", "label", "recipe", "counts", "set")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def plan(
    text: str,
    *,
    source: str | Path,
    settings: Iterable[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
) -> Study:
    """Resolve a study's TOML text.

    source: the study's file; recipes that it names as files lie relative to it. settings: ``NAME=VALUE`` for the
    study's variables. only: the arms that are to be run, all if empty. seeds: in place of the study's own.

    Raises:
        ConfigError: TOML that does not parse, unknown keys or names, variables without a value, arms of the same name,
            values of the wrong type. PluginError: a recipe that is not there.
    """
    where = f"study '{Path(source).stem}'"
    document = parsed(text, where)
    variables = resolve(document, settings, Path(source).stem)
    document = {key: fill(document.get(key, {}), variables) for key in ("study", "arm")}
    head = document["study"]
    known_only(head, STUDY_KEYS, f"[study] of {where}")
    for table in document["arm"]:
        known_only(table, ARM_KEYS, f"[[arm]] '{table.get('name', '')}' of {where}")
    counts = whole(head.get("counts", []), "counts", where, least=1)
    arms = tuple(_arm(table, head, counts, where) for table in document["arm"])
    names = [arm.name for arm in arms]
    if not names:
        raise ConfigError(f"{where} has no [[arm]]")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where} has several arms named '{name}'; give each its own name")
    reference = one_of(head.get("reference", names[0]), names, f"reference of {where}", "arm")
    wanted = tuple(one_of(name, names, "--only", "arm") for name in only)
    chosen = whole(head.get("seeds", [0]) if seeds is None else list(seeds), "seeds", where, least=0)
    if not chosen:
        raise ConfigError(f"{where} has no seeds; write for example seeds = [0, 1, 2]")
    runs = len(chosen) * sum(len(arm.counts or (None,)) for arm in arms)
    if runs > MOST_CELLS:
        raise ConfigError(f"{where} comes to {runs:,} runs, beyond {MOST_CELLS:,}; use fewer seeds, counts or arms")
    make = _maker(document, arms, source, where)
    cells = [make(arm, n, seed) for seed in chosen for arm in arms for n in arm.counts or (None,)]
    if not isinstance(head.get("contrasts", []), list):
        raise ConfigError(f'contrasts of {where} are no list of pairs; write for example [["mixed@500", "plain@3000"]]')
    contrasts = tuple(_contrast(pair, arms, where) for pair in head.get("contrasts", []))
    return Study(
        name=text_in(head.get("name", Path(source).stem), "name", where),
        about=text_in(head.get("about", ""), "about", where),
        metrics=_metrics(head, where),
        reference=reference,
        contrasts=contrasts,
        eval_data=text_in(head.get("eval_data", ""), "eval_data", where),
        protocol=text_in(head.get("protocol", "plain"), "protocol", where),
        seeds=chosen,
        counts=counts,
        counted=text_in(head.get("counted", IMAGES), "counted", where),
        arms=arms,
        cells=tuple(cells),
        only=wanted or tuple(names),
        variables=variables,
        text=text,
    )


def parsed(text: str, where: str) -> dict[str, Any]:
    """Return a study's document, its tables of the right kind.

    Raises:
        ConfigError: TOML that does not parse, a table that is unknown or none.
    """
    document = parse_toml(text, where, error=ConfigError)
    known_only(document, ("study", "arm", "variables", "search"), where)
    for key, kind in (("study", dict), ("arm", list), ("variables", dict), ("search", dict)):
        if not isinstance(document.get(key, kind()), kind):
            raise ConfigError(f"{where}: '{key}' is no {'list of tables' if kind is list else 'table'}")
    if not all(isinstance(table, dict) for table in document.get("arm", [])):
        raise ConfigError(f"{where}: 'arm' is no list of tables; begin each with [[arm]]")
    return document


def _maker(
    document: Mapping[str, Any], arms: Sequence[Arm], source: str | Path, where: str
) -> Callable[[Arm, int | None, int], Cell]:
    """Return a function that resolves one cell; recipes are read once, teachers that it looks at built once."""
    from kdcli.choosing import Built, choose

    head = document["study"]
    if not head.get("eval_data") or head["eval_data"] == "none":
        raise ConfigError(f"[study] of {where} has no eval_data; name the source that all arms are measured on")
    measured = {key: head[key] for key in SHARED if key in head}
    recipes, built = {arm.name: _recipe(arm.recipe, source) for arm in arms}, Built()
    tables = {
        table["name"]: {**_table(head, "[study]", where), **_table(table, f"arm '{table['name']}'", where)}
        for table in document["arm"]
    }

    def make(arm: Arm, count: int | None, seed: int) -> Cell:
        if count is None and COUNT in used(tables[arm.name]):
            raise ConfigError(f"arm '{arm.name}' of {where} uses {{{COUNT}}}, but [study] has no counts; set them")
        table = fill(tables[arm.name], {SEED: seed} if count is None else {COUNT: count, SEED: seed})
        flags, settings = flags_and_settings(table, f"arm '{arm.name}' of {where}")
        flags = {"export": "none"} | flags | measured | {"seed": seed}
        try:
            config = choose(recipes[arm.name], flags, settings, twin=False, built=built).config
        except ConfigError as error:
            raise type(error)(f"arm '{arm.name}' of {where}: {error}") from None
        return Cell(arm=arm.name, count=count, seed=seed, config=config, key=identity(config))

    return make


def _arm(table: Mapping[str, Any], head: Mapping[str, Any], counts: tuple[int, ...], where: str) -> Arm:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{where} has an arm named {name!r}; use letters, digits, '.', '-' and '_'")
    recipe = table.get("recipe", head.get("recipe"))
    if recipe is None:
        raise ConfigError(f"arm '{name}' of {where} has no recipe; set it there or in [study]")
    own = whole(table["counts"], f"counts of arm '{name}'", where, least=1) if "counts" in table else counts
    for count in own:
        if count not in counts:
            raise ConfigError(f"arm '{name}' of {where} has the count {count}, which [study] does not list in counts")
    return Arm(
        name=name,
        label=text_in(table.get("label", name), f"label of arm '{name}'", where),
        recipe=text_in(recipe, f"recipe of arm '{name}'", where),
        counts=own or None,
    )


def _recipe(name: str, source: str | Path) -> str | tuple[str, str]:
    """Read a recipe, but for ``auto``; one that is named as a file lies relative to the study."""
    if name == AUTO:
        return name
    if name.endswith(".toml"):
        name = str(Path(source).parent / name)
    return read_recipe(name)


def _table(owner: Mapping[str, Any], title: str, where: str) -> Mapping[str, Any]:
    table = owner.get("set", {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"set of {title} in {where} is no table; write for example set = {{ steps = 400 }}")
    return table


def _metrics(head: Mapping[str, Any], where: str) -> tuple[str, ...]:
    from kdcli.evals.metrics import NAMES

    given = head.get("metrics", head.get("metric", ["delta1"]))
    given = [given] if isinstance(given, str) else given
    if not given or not isinstance(given, list):
        raise ConfigError(f"{where} has no list of metrics; write for example metrics = [\"delta1\"]")
    return tuple(one_of(name, NAMES, f"metrics of {where}", "metric") for name in given)


def _contrast(
    pair: Any, arms: Sequence[Arm], where: str
) -> tuple[tuple[str, int | None], tuple[str, int | None]]:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(side, str) for side in pair):
        raise ConfigError(f'{pair!r} in contrasts of {where} is no pair; write for example ["mixed@500", "plain@3000"]')
    known = {group_title(arm.name, n): (arm.name, n) for arm in arms for n in arm.counts or (None,)}
    sides = [known[one_of(side, known, f"contrasts of {where}", "arm at that count")] for side in pair]
    return sides[0], sides[1]
