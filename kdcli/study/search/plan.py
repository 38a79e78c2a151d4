"""A search, resolved: its rungs, and the study that each of them is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdcli.config.dump import quoted
from kdcli.errors import ConfigError
from kdcli.files import digest
from kdcli.study.grid import Study, with_loggers
from kdcli.study.overrides import toml_value
from kdcli.study.plan import plan
from kdcli.study.ranges import Space
from kdcli.study.search.draws import settings_at
from kdcli.study.variables import fill

DEFAULT = "default"
"""The setting with the file's own values; the others are called ``t01``, ``t02``, ..."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting that is tried."""

    name: str
    values: Mapping[str, Any]
    shares: tuple[float, ...] = ()
    """Where in each range it lies, 0 to 1; none for the file's own values."""

    @property
    def label(self) -> str:
        """How reports tell of it."""
        told = ", ".join(f"{name} {value}" for name, value in self.values.items())
        return f"the file's own values{f': {told}' if told else ''}" if self.name == DEFAULT else told


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """Trials that are run at one budget, and how many of them go on."""

    number: int
    budget: int
    """Of each run's main stage, in steps or epochs."""
    trials: int
    keeps: int

    @property
    def folder(self) -> str:
        """Where its study is, within the search's."""
        return f"rung-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A whole search, resolved."""

    name: str
    document: Mapping[str, Any]
    """The study's file, without what is searched."""
    source: Path
    arm: str
    count: int | None
    fixed: Mapping[str, Any]
    """Variables that are not searched."""
    spaces: Mapping[str, Space]
    keys: frozenset[str]
    """Those that are no variables but keys of a recipe."""
    first: tuple[Trial, ...]
    """Trials that are known before any was run."""
    trials: int
    rungs: tuple[Rung, ...]
    unit: str
    """What budgets count: ``steps`` or ``epochs`` of the main stage."""
    full: int
    """Budget of the runs of the table at the end."""
    metric: str
    data: str
    """Images that trials are compared on."""
    seeds: tuple[int, ...]
    """Of the runs that are compared."""
    last_seeds: tuple[int, ...]
    """Of those of the table at the end."""
    seed: int
    """Of the draws."""
    batch: int
    """How many settings are drawn at once: all, or a part of them where draws look at those before."""
    loggers: tuple[str, ...] | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """Return what decides which trials there are and which go on, for whoever goes on with the search."""
        return {
            "study": self.name, "file": digest(self.document), "arm": self.arm, "count": self.count,
            "variables": dict(self.fixed), "ranges": {name: str(space) for name, space in self.spaces.items()},
            "trials": self.trials, "rungs": [[rung.budget, rung.trials, rung.keeps] for rung in self.rungs],
            "unit": self.unit, "metric": self.metric, "data": self.data, "seeds": list(self.seeds), "seed": self.seed,
            "batch": self.batch,
        }  # fmt: skip

    def rung_study(self, rung: Rung, trials: Sequence[Trial]) -> Study:
        """Return the study that a rung is.

        Raises:
            ConfigError: as ``kdcli.study.plan``.
        """
        about = (
            f"Rung {rung.number} of {len(self.rungs)} of a search: settings compared at {rung.budget} {self.unit} on "
            "the images of the search. The best ones' numbers are too good for having been chosen by them."
        )
        study = self._study(trials, rung.budget, about, self.data, self.seeds, f"{self.name}-{rung.folder}")
        if len({cell.key for cell in study.cells}) == len(self.seeds) < len(study.cells):
            raise ConfigError(f"{' and '.join(self.spaces)} of study '{self.name}' change nothing in what its runs do; "
                              "another key of the arm may decide instead")
        return study

    def last_study(self, trials: Sequence[Trial], about: str = "") -> Study:
        """Return the study that measures what the search found, on images and seeds that it did not see.

        Raises:
            ConfigError: as ``kdcli.study.plan``.
        """
        head = self.document["study"]
        about = " ".join(filter(None, (fill(head.get("about", ""), self.fixed), about)))
        data = fill(head["eval_data"], self.fixed)
        return self._study(trials, self.full, about, data, self.last_seeds, self.name)

    def _study(
        self, trials: Sequence[Trial], budget: int, about: str, data: str, seeds: tuple[int, ...], name: str
    ) -> Study:
        names = [trial.name for trial in trials]
        head = {key: value for key, value in self.document["study"].items()
                if key not in ("set", "recipe", "contrasts", "counts")}  # fmt: skip
        head = fill(head, self.fixed) | {
            "name": name, "about": about, "eval_data": data, "seeds": list(seeds),
            "reference": DEFAULT if DEFAULT in names else names[0],
            **({} if self.count is None else {"counts": [self.count]}),
        }  # fmt: skip
        text = study_toml({"study": head, "arm": [self._arm(trial, budget) for trial in trials]})
        study = replace(plan(text, source=self.source), variables=dict(self.fixed))
        for cell in study.cells:
            if getattr(cell.config.main, self.unit) != budget:
                raise ConfigError(
                    f"'{cell.config.main.name}.{self.unit}' of study '{self.name}' stands beside the budgets of the "
                    f"search; write it as plain {self.unit}"
                )
        return study if self.loggers is None else with_loggers(study, self.loggers)

    def _arm(self, trial: Trial, budget: int) -> dict[str, Any]:
        head = self.document["study"]
        own = next(table for table in self.document["arm"] if table["name"] == self.arm)
        variables = {name: value for name, value in trial.values.items() if name not in self.keys}
        recipe, table = fill(
            [own.get("recipe", head.get("recipe")), {**head.get("set", {}), **own.get("set", {})}],
            {**self.fixed, **variables},
        )
        if recipe.endswith(".toml"):
            recipe = str((self.source.parent / recipe).resolve())
        changed = {name: value for name, value in trial.values.items() if name in self.keys}
        return {"name": trial.name, "label": trial.label, "recipe": recipe,
                "set": {**table, **changed, self.unit: budget}}  # fmt: skip


def trials_at(spaces: Mapping[str, Space], points: Sequence[tuple[float, ...]], *, after: int = 0) -> list[Trial]:
    """Return the settings at points of the unit cube, named by their number; ``after`` counts those before."""
    return [
        Trial(name=f"t{number:02}", values=settings_at(spaces, point), shares=point)
        for number, point in enumerate(points, start=after + 1)
    ]


def study_toml(document: Mapping[str, Any]) -> str:
    """Return a study's document as TOML."""
    lines = []
    for title, tables in document.items():
        several = isinstance(tables, list)
        for table in tables if several else [tables]:
            lines += [f"[[{title}]]" if several else f"[{title}]"]
            lines += [f"{name if _BARE.fullmatch(name) else quoted(name)} = {toml_value(value)}"
                      for name, value in table.items()]  # fmt: skip
            lines += [""]
    return "\n".join(lines)
