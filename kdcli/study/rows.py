"""What a study's table is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kdcli.study.grid import IMAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A number with its 95 % interval; None where there are too few images."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Interval):
    """A paired difference."""

    above_zero: float | None
    """Share of resamples above zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An arm against another one on the seeds and images that both have: first minus second."""

    first: str
    second: str
    seeds: tuple[int, ...]
    images: int
    same_protocol: bool
    difference: Mapping[str, Difference]
    """By metric; empty where they share no seed or no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm at one number of images."""

    arm: str
    label: str
    count: int | None
    seeds: tuple[int, ...]
    images: int
    metrics: Mapping[str, Interval]
    """Mean over seeds by metric, with its interval over seeds and images."""
    per_seed: Mapping[str, tuple[float | None, ...]]
    """By metric, in the order of ``seeds``."""
    runs: tuple[str, ...]
    teacher_images: int | None
    """Images that teachers were shown for a student, each as often as it was: the mean over seeds."""
    against: Comparison | None
    """Against the reference at the same number of images; None for the reference itself or where that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRow:
    """A teacher on the images that all arms are measured on; its interval is over images."""

    spec: str
    arms: tuple[str, ...]
    images: int
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A whole study's results."""

    study: str
    about: str
    eval_data: str
    protocol: Mapping[str, str] | None
    reference: str
    metrics: tuple[str, ...]
    teachers: tuple[TeacherRow, ...]
    rows: tuple[Row, ...]
    contrasts: tuple[Comparison, ...]
    missing: tuple[str, ...]
    """Cells that are not finished."""
    counted: str = IMAGES
    """What the rows' counts are."""

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
