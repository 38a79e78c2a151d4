"""Successive halving over the rungs of a search, then the runs of its table.

Every run is made anew at its rung's budget, with the schedule of the learning rate stretched over that, and not gone on
with from the rung before: it is what ``kdcli distill`` with as many steps would be. All settings of a rung are compared
when all have ended (Jamieson and Talwalkar, AISTATS 2016).

::

    OUT/rung-1/ OUT/rung-2/   the rungs, each a study's folder
    OUT/search.json           settings, and what was decided
    OUT/                      the study of those that are left
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kdcli.errors import TrainingError
from kdcli.evals.metrics import HIGHER_IS_BETTER
from kdcli.study.cells import jobs
from kdcli.study.grid import Study
from kdcli.study.report import write_reports
from kdcli.study.rows import Table
from kdcli.study.run import Outcome, alone_with_tables, refuse_early, run_study
from kdcli.study.search.plan import DEFAULT, Rung, Search, Trial, trials_at
from kdcli.study.search.record import Decision, Record, add, read
from kdcli.study.search.tell import chosen
from kdcli.study.table import tabulate
from kdcli.training.run.progress import Progress, Silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to."""

    record: Record
    best: Trial
    """By the images of the search, at the greatest budget that settings were compared at."""
    study: Study
    """That of the table at the end."""
    outcome: Outcome
    """Of all rungs and the table; failed are those of the table alone: what failed within a rung only lost."""


def run_search(
    search: Search,
    out: Path,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    processes: int = 1,
) -> Found:
    """Run what is not there yet, rung after rung, and the study of what is left; several processes may do it together.

    processes: as for ``run_study``.

    Raises:
        TrainingError: no setting of a rung came to an end. KdcliError: as ``run_study``. KeyboardInterrupt: asked to
            stop; the same call goes on.
    """
    progress = progress or Silent()
    record, ran, elsewhere, kept = read(search, out), 0, 0, dict[Path, int]()
    last = search.last_study(search.first[:1])  # what the table will need is refused now, not after the rungs
    refuse_early([job for job in jobs(last, out) if job.state != "finished"], torch.device(device))

    def work(study: Study, folder: Path, *, teachers: bool) -> tuple[str, ...]:
        nonlocal ran, elsewhere
        outcome = run_study(study, folder, device=device, progress=progress, processes=processes, teachers=teachers)
        ran, elsewhere = ran + outcome.ran, elsewhere + outcome.elsewhere
        kept.setdefault(folder, outcome.kept)
        return outcome.failed

    lost, why = set[str](), list[str]()

    def compared(rung: Rung, trials: Sequence[Trial]) -> Decision:
        folder = out / rung.folder
        study = search.rung_study(rung, [trial for trial in trials if trial.name not in lost])
        why.extend(work(study, folder, teachers=False))
        with alone_with_tables(study, folder):
            table = tabulate(study, folder)
            write_reports(study, table, folder, why)
        return decide(search, rung, [trial.name for trial in trials], table, why)

    while len(record.decisions) < len(search.rungs):  # others may have decided on several in the meantime
        rung, trials = search.rungs[len(record.decisions)], _entering(record)
        progress.note(f"rung {rung.number} of {len(search.rungs)}: {len(trials)} settings, {rung.budget} {search.unit} "
                      f"each, compared on {search.data}")
        decision = compared(rung, trials)
        if len(record.trials) < search.trials:
            lost.update(name for name, score in decision.scores if score is None)
            record = add(search, out, trials=further(search, record.trials, decision))
        else:
            record = add(search, out, decision=decision)
            why.clear()
    study, best = _last(search, record)
    progress.note(f"best: {best.name} ({best.label}); measured on {study.eval_data} after {search.full} "
                  f"{search.unit}")
    failed = work(study, out, teachers=True)
    outcome = Outcome(ran=ran, kept=sum(kept.values()), elsewhere=elsewhere, failed=failed)
    return Found(record=record, best=best, study=study, outcome=outcome)


def decide(search: Search, rung: Rung, names: Sequence[str], table: Table, failed: Sequence[str] = ()) -> Decision:
    """Return which settings of a rung go on: those with the best mean over seeds; of equals the first ones.

    Raises:
        TrainingError: none of them came to an end.
    """
    rows = {row.arm: row for row in table.rows if len(row.seeds) == len(search.seeds)}
    scores = {name: rows[name].metrics[search.metric].value if name in rows else None for name in names}
    sign = -1 if search.metric in HIGHER_IS_BETTER else 1
    ranked = sorted(scores.items(), key=lambda pair: (pair[1] is None, sign * (pair[1] or 0.0)))
    ended = [name for name, score in ranked if score is not None]
    if not ended:
        why = failed[0] if failed else "nothing could be measured"
        raise TrainingError(f"no setting of rung {rung.number} came to an end: {why}")
    return Decision(rung=rung.number, budget=rung.budget, scores=tuple(ranked), kept=tuple(ended[: rung.keeps]),
                    failed=tuple(failed))  # fmt: skip


def further(search: Search, trials: Sequence[Trial], seen: Decision) -> list[Trial]:
    """Return further settings, drawn by what those before came to."""
    from kdcli.study.search import tpe

    known, number = {trial.name: trial for trial in trials}, min(search.batch, search.trials - len(trials))
    told = [(known[name], score) for name, score in seen.scores]
    drawn = tpe.points(search.spaces, told, number, search.seed, more=search.metric in HIGHER_IS_BETTER)
    begun = sum(trial.name != DEFAULT for trial in trials)
    return trials_at(search.spaces, drawn, after=begun)


def _entering(record: Record) -> list[Trial]:
    """Return the settings of the next rung, the best of the one before first."""
    known = {trial.name: trial for trial in record.trials}
    return [known[name] for name in (record.decisions[-1].kept if record.decisions else known)]


def _last(search: Search, record: Record) -> tuple[Study, Trial]:
    """Return the study of the settings that are left, beside the file's own values, and the best of the settings."""
    left = _entering(record)
    own = [trial for trial in record.trials if trial.name == DEFAULT and trial not in left]
    return search.last_study([*left, *own], chosen(search, left[0], len(left))), left[0]
