"""How many settings are compared at which budgets: successive halving, by what was asked."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from typing import Any

from kdcli.errors import ConfigError
from kdcli.study.checks import one_of
from kdcli.study.grid import Study
from kdcli.study.search.plan import Rung

TRIALS, REDUCTION = 9, 3
DRAWS = ("sobol", "tpe")


def number(asked: Mapping[str, Any], name: str, default: int, where: str, least: int = 2) -> int:
    """Return a whole number that was asked for.

    Raises:
        ConfigError: it is none, or less than ``least``.
    """
    value = asked.get(name, default)
    if type(value) is not int or value < least:
        raise ConfigError(f"the search of {where} has {name} {value!r}; give a whole number of at least {least}")
    return value


def keeps(trials: int, asked: Mapping[str, Any], where: str) -> tuple[int, list[int]]:
    """Return the reduction, and how many settings are left after each rung.

    Raises:
        ConfigError: none would be.
    """
    reduction = number(asked, "reduction", REDUCTION, where)
    if trials < reduction:
        raise ConfigError(f"{trials} trials with reduction {reduction} leave none; give more trials")
    left = [trials // reduction]
    while left[-1] >= reduction:
        left.append(left[-1] // reduction)
    rungs = number(asked, "rungs", len(left), where, least=1)
    if rungs > len(left):
        raise ConfigError(f"{rungs} rungs with reduction {reduction} leave none of {trials} trials; at most "
                          f"{len(left)}")
    return reduction, left[:rungs]


def rungs(base: Study, trials: int, reduction: int, left: list[int]) -> tuple[str, int, tuple[Rung, ...]]:
    """Return what budgets count, that of the table at the end, and the rungs: each ``reduction`` times that before.

    Raises:
        ConfigError: the first one would have nothing.
    """
    main = base.cells[0].config.main
    unit, full = ("epochs", main.epochs) if main.steps is None else ("steps", main.steps)
    share = reduction ** len(left)
    if full is None or full < share:
        raise ConfigError(f"{full} {unit} are too few for {len(left)} rungs, the first of which has 1 in {share} "
                          f"of them; give more {unit}, or fewer rungs")
    return unit, full, tuple(
        Rung(number=i + 1, budget=round(full * reduction**i / share), trials=entering, keeps=kept)
        for i, (entering, kept) in enumerate(zip([trials, *left], left, strict=False))
    )


def batch(asked: Mapping[str, Any], trials: int, where: str) -> int:
    """Return how many settings are drawn at once: all, or a third where draws look at those before.

    Raises:
        ConfigError: an unknown way to draw, or one that needs a package that is not there.
    """
    if one_of(asked.get("draws", DRAWS[0]), DRAWS, f"draws of the search in {where}", "way") == "sobol":
        return trials
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("draws 'tpe' need optuna, which is not installed: pip install 'kdcli[search]'; or take sobol")
    return math.ceil(trials / 3)
