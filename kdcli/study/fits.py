"""Runs of a study that fit the same transformation network: one fits it, the others take it over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from kdcli.config import RunConfig
from kdcli.files import digest

if TYPE_CHECKING:
    from kdcli.training.run.folder import RunFolder


def fit_of(config: RunConfig) -> str | None:
    """Return a hash of all that decides which transformation network a run fits; None where that is not the seed and
    the stage alone, or there is none.

    A fit is a function of both (``kdcli.training.run.fit_stage``) unless a stage before it trains its teacher, or
    images are held out, which the stage of the student decides; and a network that is learned jointly replaces it.
    """
    first, *later = config.stages
    if first.train != "transform" or config.holdout > 0 or any(stage.transform == "joint" for stage in later):
        return None
    return digest({"seed": config.seed, "stage": asdict(first)})


def alike(configs: Mapping[Path, RunConfig]) -> dict[Path, tuple[Path, ...]]:
    """Return for the folder of every run those of the others that fit the same network."""
    groups: dict[str, list[Path]] = {}
    for folder, config in configs.items():
        if (key := fit_of(config)) is not None:
            groups.setdefault(key, []).append(folder)
    return {folder: tuple(other for other in group if other != folder) for group in groups.values() for folder in group}


def fitted(out: Path, folders: Iterable[Path]) -> RunFolder | None:
    """Return the first of these runs whose network is there, None where none is."""
    from kdcli.training.run.folder import RunFolder

    runs = (RunFolder(out / folder) for folder in folders)
    return next((run for run in runs if run.transform.is_file()), None)
