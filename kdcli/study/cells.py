"""Which runs a study needs, where they are, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kdcli.errors import ConfigError, DataError
from kdcli.study.fits import alike
from kdcli.study.grid import Cell, Study
from kdcli.study.identity import differing

State = Literal["new", "begun", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run, and the cells that it is the run of: those whose configurations do the same."""

    cells: tuple[Cell, ...]
    folder: Path
    """Relative to the study's folder."""
    state: State
    wanted: bool
    """Whether one of its cells belongs to an arm that is to be run."""
    fits_alike: tuple[Path, ...] = ()
    """Folders of the other runs that fit the same transformation network."""

    @property
    def cell(self) -> Cell:
        """The cell that the run is made for."""
        return self.cells[0]

    @property
    def title(self) -> str:
        """How messages call it."""
        also = [cell.title for cell in self.cells[1:]]
        return self.cell.title + (f" (and {', '.join(also)})" if also else "")


def jobs(study: Study, out: Path) -> list[Job]:
    """Return the runs of a study in the order of its cells, each once.

    Raises:
        ConfigError: a cell's folder holds a run with another configuration. DataError: it holds no run.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in study.cells:
        groups.setdefault(cell.key, []).append(cell)
    found = [_job(cells, out, study.only) for cells in groups.values()]
    same = alike({job.folder: job.cell.config for job in found})
    return [replace(job, fits_alike=same.get(job.folder, ())) for job in found]


def looked_at_again(job: Job, study: Study, out: Path) -> Job:
    """Return a job as it is now: another process may have done it.

    Raises:
        ConfigError, DataError: as ``jobs``.
    """
    return replace(_job(job.cells, out, study.only), fits_alike=job.fits_alike)


def _job(cells: Sequence[Cell], out: Path, only: Sequence[str]) -> Job:
    made = [(cell, state) for cell in cells if (state := _state(cell, out)) != "new"]
    # Of cells that do the same the one that got farthest is gone on with.
    wanted = [cell for cell in cells if cell.arm in only]
    first: tuple[Cell, State] = ((wanted or cells)[0], "new")
    cell, state = max(made, key=lambda pair: pair[1] == "finished") if made else first
    others = tuple(other for other in cells if other is not cell)
    return Job(cells=(cell, *others), folder=cell.folder, state=state, wanted=bool(wanted))


def _state(cell: Cell, out: Path) -> State:
    from kdcli.training.run.folder import RunFolder

    folder = out / cell.folder
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return "new"
    try:
        run = RunFolder.open(folder)
        config, document = run.config(), run.manifest()
    except (ConfigError, DataError) as error:
        raise DataError(f"'{folder}' is in the way of {cell.title}: {error}; remove it or use another --out") from None
    if keys := differing(config, cell.config):
        raise ConfigError(
            f"'{folder}' holds a run with other settings ({', '.join(keys)}) than {cell.title} has now; "
            "use another --out, or remove that folder"
        )
    return "finished" if document.get("state") == "finished" and "student" in document.get("eval", {}) else "begun"
