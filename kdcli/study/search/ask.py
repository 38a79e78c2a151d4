"""What was asked of a search, by the study's file and by options, checked before anything is run.

::

    [search]
    data = "sim:rooms,count=96,seed=2000"   # settings are compared on these images, never on eval_data
    trials = 9
    reduction = 3                           # of a rung's settings the best third goes on, with three times the steps
    rungs = 2
    seeds = [100]
    draws = "sobol"                         # or "tpe", by optuna

    [variables]
    lr = { about = "learning rate", default = 0.01, range = [1e-3, 1e-1], log = true }
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdcli.config.values import known_only
from kdcli.errors import ConfigError
from kdcli.study.checks import one_of, text_in, whole
from kdcli.study.grid import Study
from kdcli.study.plan import parsed, plan
from kdcli.study.ranges import Space, read_option, space
from kdcli.study.search.draws import key, points
from kdcli.study.search.plan import DEFAULT, Search, Trial, study_toml, trials_at
from kdcli.study.search.rungs import TRIALS, batch, keeps, number, rungs
from kdcli.study.variables import fill, used, wanted_by

KEYS = ("data", "trials", "reduction", "rungs", "seeds", "draws")
BUDGETS = ("steps", "epochs")


def ask(
    text: str,
    *,
    source: str | Path,
    settings: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    ranges: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    loggers: tuple[str, ...] | None = None,
) -> Search:
    """Resolve the search that a study's TOML text and the options come to.

    only: the arm that is searched, ``ARM`` or ``ARM@COUNT``. ranges: ``NAME=RANGE`` each, of variables or of keys of a
    recipe. options: values of ``[search]`` in place of the file's; those that are None count as not given. seeds: of
    the table at the end. seed: of the draws. loggers: of every run, in place of the recipe's.

    Raises:
        ConfigError: as ``kdcli.study.plan``, and whatever makes no search. KdcliError: images that cannot be read.
    """
    source = Path(source)
    where = f"study '{source.stem}'"
    document = parsed(text, where)
    table = document.pop("search", {})
    known_only(table, KEYS, f"[search] of {where}")
    asked = table | {name: value for name, value in (options or {}).items() if value is not None}
    spaces = _spaces(document, settings, ranges, where)
    keys = frozenset(spaces.keys() - wanted_by(document) - document.get("variables", {}).keys())
    arm, count = _arm(document, only, where)
    document["arm"] = [arm]
    _check_used(document, spaces, keys, where)

    trials = number(asked, "trials", TRIALS, where)
    reduction, left = keeps(trials, asked, where)
    at_once = batch(asked, trials, where)
    first = _first(document, spaces, keys, at_once, seed)
    base = _base(document, source, settings, seeds, first[-1], keys)
    fixed = {name: value for name, value in base.variables.items() if name not in spaces}
    unit, full, made = rungs(base, trials, reduction, left)
    compared = whole(fill(asked.get("seeds", [max(base.seeds) + 1]), fixed), "seeds of [search]", where, least=0)
    if not compared or {*compared} & {*base.seeds}:
        raise ConfigError(f"seeds of [search] of {where}: {list(compared)}; give one or more that are none of the "
                          f"table's, {', '.join(map(str, base.seeds))}")
    return Search(
        name=base.name, document=document, source=source, arm=arm["name"], count=_count(base, count, where),
        fixed=fixed, spaces=spaces, keys=keys, first=first, trials=trials, rungs=made,
        unit=unit, full=full, metric=base.metrics[0], data=_data(fill(asked.get("data"), fixed), base, where),
        seeds=compared, last_seeds=base.seeds, seed=seed, batch=at_once, loggers=loggers,
    )  # fmt: skip


def _spaces(
    document: Mapping[str, Any], settings: Iterable[str], ranges: Iterable[str], where: str
) -> dict[str, Space]:
    given = {text.partition("=")[0] for text in settings}
    found: dict[str, Space] = {}
    for name, entry in document.get("variables", {}).items():
        made = space(entry, f"variable '{name}' of {where}") if isinstance(entry, Mapping) else None
        if made is not None and name not in given:
            found[name] = made
    for text in ranges:
        name, made = read_option(text)
        if name in given:
            raise ConfigError(f"'{name}' has both --set and --range; keep one of them")
        found[name] = made
    if not found:
        raise ConfigError(
            f"{where} has nothing to search: give a variable a range, as lr = {{ range = [1e-4, 3e-2], log = true }}, "
            "or --range lr=1e-4..3e-2,log"
        )
    return found


def _arm(document: Mapping[str, Any], only: Sequence[str], where: str) -> tuple[dict[str, Any], str]:
    """Return the arm's table, and its number of images as it was given."""
    arms = {str(table.get("name")): table for table in document.get("arm", [])}
    if len(only) > 1 or (not only and len(arms) > 1):
        raise ConfigError(f"a search has one arm; choose with --only one of {', '.join(arms)}")
    if not arms:
        raise ConfigError(f"{where} has no [[arm]]")
    name, _, count = only[0].partition("@") if only else (next(iter(arms)), "", "")
    return arms[one_of(name, arms, "--only", "arm")], count


def _check_used(document: Mapping[str, Any], spaces: Mapping[str, Space], keys: frozenset[str], where: str) -> None:
    head, arm = document.get("study", {}), document["arm"][0]
    once = used({key: value for key, value in head.items() if key not in ("set", "recipe")})
    said = [owner.get("set") for owner in (head, arm)]
    counted = used([table.get(key) for table in said if isinstance(table, Mapping) for key in BUDGETS])
    for name in spaces:
        if name in BUDGETS or name in counted:
            raise ConfigError(f"'{name}' is what the rungs of a search are made of, so that it cannot be searched")
        if name in once:
            raise ConfigError(f"{where} uses '{name}' for all of [study]; only what an arm sets can be searched")
        if name not in keys and name not in used([said, head.get("recipe"), arm]):
            raise ConfigError(f"arm '{arm.get('name')}' of {where} does not use {{{name}}}, so that a search of it "
                              f"tells nothing; write for example {name} = \"{{{name}}}\" in its set")


def _first(
    document: Mapping[str, Any], spaces: Mapping[str, Space], keys: frozenset[str], count: int, seed: int
) -> tuple[Trial, ...]:
    """Return the file's own values, where it has some for all that is searched, and settings out of the ranges."""
    table = document.get("variables", {})
    made = []
    if all(name in keys or "default" in table.get(name, {}) for name in spaces):
        made = [Trial(name=DEFAULT, values={name: table[name]["default"] for name in spaces if name not in keys})]
    known = [key(trial.values) for trial in made]
    return (*made, *trials_at(spaces, points(spaces, count - len(made), seed, known=known)))


def _base(
    document: Mapping[str, Any], source: Path, settings: Sequence[str], seeds: Sequence[int] | None, trial: Trial,
    keys: frozenset[str],
) -> Study:  # fmt: skip
    """Return the study with one of the settings, which finds out whatever is wrong with the file."""
    table = dict(document.get("variables", {}))
    for name, value in trial.values.items():
        if name not in keys:
            table[name] = {"default": value}
    head = {name: value for name, value in document.get("study", {}).items() if name not in ("reference", "contrasts")}
    text = study_toml({"study": head, "arm": document["arm"], "variables": table})
    return plan(text, source=source, settings=settings, seeds=seeds)


def _count(base: Study, given: str, where: str) -> int | None:
    arm = base.arms[0]
    counts = arm.counts or ()
    if given and given not in map(str, counts):
        listed = f"has the counts {', '.join(map(str, counts))}" if counts else "has no counts"
        raise ConfigError(f"--only {arm.name}@{given}: arm '{arm.name}' of {where} {listed}")
    if not given and len(counts) > 1:
        raise ConfigError(f"arm '{arm.name}' of {where} has several counts and a search has one; choose with --only "
                          + " or ".join(f"{arm.name}@{count}" for count in counts))
    return int(given) if given else counts[0] if counts else None


def _data(given: Any, base: Study, where: str) -> str:
    """Return the images that settings are compared on; not those of the table, by which nothing may be chosen."""
    from kdcli.choosing import Built
    from kdcli.choosing.held_out import shared
    from kdcli.sources.parts import renders
    from kdcli.spec import parse

    built = Built()
    if given is None:
        spec, example = parse(base.eval_data), "another part of the set"
        if renders(built.source(base.eval_data)):
            other = int(spec.options.get("seed", "0")) + 1
            example = f"for example {replace(spec, options={**spec.options, 'seed': str(other)})}"
        raise ConfigError(f"a search of {where} compares settings on images that its table does not see: give "
                          f"--search-data, or data in [search]; {example}")
    data = text_in(given, "data of [search]", where)
    if shared(data, base.eval_data, built):
        raise ConfigError(f"the search would choose by '{data}', which has images of eval_data '{base.eval_data}'; the "
                          "table at the end is measured on those, and would be too good")
    return data
