"""A study, resolved: arms, and the cells of the grid with the configuration of each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kdcli.config import RunConfig

IMAGES = "images"
"""What counts are where a study does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One thing that is tried: a recipe with what differs in it."""

    name: str
    label: str
    recipe: str
    counts: tuple[int, ...] | None
    """Numbers, of images usually, that it is run with; None = the study knows none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run of the grid."""

    arm: str
    count: int | None
    seed: int
    config: RunConfig
    key: str
    """Hash of what the run does; cells with the same one need a single run."""

    @property
    def folder(self) -> Path:
        """Where the run is, relative to the study's folder."""
        within = Path("cells", self.arm) if self.count is None else Path("cells", self.arm, f"n{self.count}")
        return within / f"seed{self.seed}"

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{group_title(self.arm, self.count)} seed {self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A whole study, resolved."""

    name: str
    about: str
    metrics: tuple[str, ...]
    reference: str
    contrasts: tuple[tuple[tuple[str, int | None], tuple[str, int | None]], ...]
    """Pairs of (arm, count) that are compared beside every arm with the reference at the same count."""
    eval_data: str
    protocol: str
    seeds: tuple[int, ...]
    counts: tuple[int, ...]
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]
    """In the order in which they are run: a seed after the other, so that all arms have the first one soonest."""
    only: tuple[str, ...] = ()
    """The arms that are to be run."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    counted: str = IMAGES
    """What ``counts`` are, as tables and plots call it."""

    def arm(self, name: str) -> Arm:
        """Return an arm by name."""
        return next(arm for arm in self.arms if arm.name == name)


def with_loggers(study: Study, loggers: tuple[str, ...]) -> Study:
    """Return a study whose runs are told to other loggers; its cells do the same as before."""
    cells = tuple(replace(cell, config=replace(cell.config, loggers=loggers)) for cell in study.cells)
    return replace(study, cells=cells)


def group_title(arm: str, count: int | None) -> str:
    """Return how an arm at a number of images is written: ``ARM@COUNT``, or the arm where there are no counts."""
    return arm if count is None else f"{arm}@{count}"
