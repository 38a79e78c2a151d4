"""The extra metrics by name."""

from __future__ import annotations

from collections.abc import Sequence

from kdcli.errors import ConfigError, nearest
from kdcli.evals.extras.boundary_f1 import boundary_f1
from kdcli.evals.extras.ibims import boundaries, directed, planarity
from kdcli.evals.extras.ratios import inverse_rmse, squared_relative
from kdcli.evals.extras.scene import Extra
from kdcli.evals.extras.surfaces import RANGES, WITHIN, distances, normals

EXTRAS: dict[str, Extra] = {
    "irmse": Extra(columns=("irmse",), measure=inverse_rmse, better=("less",), unit=("1/km",)),
    "sq_error_rel": Extra(columns=("sq_error_rel",), measure=squared_relative, better=("less",), unit=("%",)),
    "boundary_f1": Extra(columns=("boundary_f1",), measure=boundary_f1, better=("more",)),
    "directed": Extra(
        columns=("directed", "directed_near", "directed_far"), measure=directed, better=("more", "less", "less")
    ),
    "boundaries": Extra(
        columns=("edge_accuracy", "edge_completeness"), measure=boundaries, better=("less", "less"), unit=("px", "px")
    ),
    "planarity": Extra(
        columns=("plane_flatness", "plane_orientation", "planes"), measure=planarity, better=("less", "less", ""),
        unit=("cm", "degrees"), weight="planes",
    ),
    "normals": Extra(
        columns=("normal_mean", "normal_median", *(f"normal_{limit:g}" for limit in WITHIN)), measure=normals,
        better=("less", "less", *("more" for _ in WITHIN)), unit=("degrees", "degrees"),
    ),
    "distances": Extra(
        columns=tuple(f"abs_rel_{near}_{far}m" for near, far in RANGES), measure=distances,
        better=tuple("less" for _ in RANGES),
    ),
}  # fmt: skip
"""To add one is to add a row."""


def chosen(names: Sequence[str]) -> list[Extra]:
    """Return the extra metrics of a protocol.

    Raises:
        ConfigError: an unknown name.
    """
    for name in names:
        if name not in EXTRAS:
            raise ConfigError(f"extra metric '{name}' is unknown.{nearest(name, EXTRAS)} Known: {', '.join(EXTRAS)}")
    return [EXTRAS[name] for name in names]


def columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the extra metrics of a protocol."""
    return tuple(column for extra in chosen(names) for column in extra.columns)


def weights(names: Sequence[str]) -> tuple[str | None, ...]:
    """Return, for each of ``columns``, the column whose numbers weigh it in means over images; None = all alike."""
    return tuple(
        None if column == extra.weight else extra.weight for extra in chosen(names) for column in extra.columns
    )


def told(column: str) -> tuple[str, str]:
    """Return which is better, ``less``, ``more`` or neither, and the unit of a column, empty if it has none."""
    for extra in EXTRAS.values():
        if column in extra.columns:
            at = extra.columns.index(column)
            return extra.better[at], extra.unit[at] if at < len(extra.unit) else ""
    raise KeyError(column)
