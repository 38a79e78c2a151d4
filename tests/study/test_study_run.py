"""A tiny study from its first step to its table, whatever comes between."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from left_behind import draft_of_the_dead
from study_text import Told

from kdcli.errors import ConfigError, DataError, TrainingError
from kdcli.study import Study
from kdcli.study.cells import jobs
from kdcli.study.report import main_rows, write_reports
from kdcli.study.run import run_study
from kdcli.study.table import tabulate
from kdcli.training.loop.train import StepLog

Resolve = Callable[..., Study]


def per_image(run: Path, metric: str) -> dict[str, float]:
    with (run / "eval" / "per_image.csv").open() as stream:
        return {row["image"]: float(row[metric]) for row in csv.DictReader(stream) if row["model"] == "student"}


def test_each_run_is_made_once_and_the_teacher_measured_once(
    tiny: Resolve, teacher: str, finished: tuple[Path, Told]
) -> None:
    out, told = finished
    runs = sorted(str(path.parent.relative_to(out)) for path in out.rglob("manifest.json"))
    assert runs == [f"cells/{arm}/n4/seed{seed}" for arm in ("mixed", "plain") for seed in (0, 1)]
    for run in runs:
        results = json.loads((out / run / "eval" / "results.json").read_text())
        assert set(results) == {"student"} and results["student"]["n"] == 5
    (folder,) = (out / "teachers").iterdir()
    assert set(json.loads((folder / "results.json").read_text())) == {teacher}
    assert sum(note.startswith("measuring") for note in told.notes) == 1
    assert "[1/4] plain@4 seed 0 (and again@4 seed 0)" in told.notes
    assert not list(out.rglob(".kdcli.lock"))
    again = Told()
    outcome = run_study(tiny(), out, progress=again)
    assert (outcome.ran, outcome.kept) == (0, 4) and not again.notes


def test_the_table_is_what_the_result_files_say(tiny: Resolve, finished: tuple[Path, Told]) -> None:
    out, _ = finished
    study = tiny()
    table = tabulate(study, out, seed=3)
    assert [(row.arm, row.count, row.seeds, row.images) for row in table.rows] == [
        ("plain", 4, (0, 1), 5), ("mixed", 4, (0, 1), 5), ("again", 4, (0, 1), 5),
    ]  # fmt: skip
    rows = {row.arm: row for row in table.rows}
    for metric in ("delta1", "abs_rel"):
        values = {
            arm: [per_image(out / f"cells/{arm}/n4/seed{s}", metric) for s in (0, 1)] for arm in ("plain", "mixed")
        }
        means = {arm: [sum(images.values()) / 5 for images in seeds] for arm, seeds in values.items()}
        for arm in ("plain", "mixed"):
            assert rows[arm].per_seed[metric] == pytest.approx(means[arm])
            assert rows[arm].metrics[metric].value == pytest.approx(sum(means[arm]) / 2)
        against = rows["mixed"].against
        assert against is not None and against.images == 5 and against.seeds == (0, 1) and against.same_protocol
        found = against.difference[metric]
        gaps = [[values["mixed"][s][image] - values["plain"][s][image] for image in sorted(values["plain"][0])]
                for s in (0, 1)]  # fmt: skip
        assert found.value == pytest.approx(sum(map(sum, gaps)) / 10)
        # Two seeds: each resample is one of them, on its own draw of images, by hand.
        images = torch.randint(5, (2000, 5), generator=torch.Generator().manual_seed(3))
        seeds = torch.randint(2, (2000, 1), generator=torch.Generator().manual_seed(4))
        drawn = torch.tensor(gaps, dtype=torch.float64)[seeds, images].mean(1)
        low, high = torch.quantile(drawn, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
        if metric == "abs_rel":
            assert found.above_zero == pytest.approx((drawn > 0).double().mean().item(), abs=1e-3)
    assert rows["plain"].against is None
    same = rows["again"].against
    assert same is not None and same.difference["delta1"].low == same.difference["delta1"].high == 0
    assert rows["again"].runs == rows["plain"].runs
    assert table.missing == () and len(table.teachers) == 1
    for row in table.rows:
        counted = [json.loads((out / run / "manifest.json").read_text())["teacher_images"] for run in row.runs]
        assert row.teacher_images == round(sum(sum(one.values()) for one in counted) / len(counted)) > 0


@pytest.mark.parametrize("counted", ["images", "steps"])
def test_tables_and_plots_call_counts_what_the_study_calls_them(
    tiny: Resolve, finished: tuple[Path, Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: str
) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.axes import Axes

    labels = []
    monkeypatch.setattr(Axes, "set", lambda self, **given: labels.append(given["xlabel"]))
    study = tiny() if counted == "images" else tiny(("counts = [4]", 'counts = [4]\ncounted = "steps"'))
    table = tabulate(study, finished[0])
    write_reports(study, table, tmp_path)
    assert main_rows(table)[0][1] == counted == json.loads((tmp_path / "report.json").read_text())["counted"]
    assert labels == [{"images": "training images", "steps": "steps"}[counted]] * 2
    assert f"Against the number of {counted}" in (tmp_path / "report.html").read_text()


def test_images_shown_to_teachers_stand_in_the_table_where_arms_differ(
    tiny: Resolve, finished: tuple[Path, Told]
) -> None:
    table = tabulate(tiny(), finished[0])
    assert "images shown to teachers" not in main_rows(table)[0]
    rows = tuple(replace(row, teacher_images=1200 + i) for i, row in enumerate(table.rows))
    columns, told = main_rows(replace(table, rows=rows))
    at = columns.index("images shown to teachers")
    assert [row[at] for row in told] == ["", "1,200", "1,201", "1,202"] and {len(row) for row in told} == {len(columns)}


class StopAt(Told):
    """Asks the process to stop once a step of a run is logged, as Ctrl-C does."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self._run = run

    def step(self, log: StepLog) -> None:
        if any(note.endswith(self._run) for note in self.notes) and log.step == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_it_goes_on_where_it_was_stopped(tiny: Resolve, finished: tuple[Path, Told], tmp_path: Path) -> None:
    study, out = tiny(seeds=[0]), tmp_path / "out"
    told = StopAt("mixed@4 seed 0")
    with pytest.raises(KeyboardInterrupt):
        run_study(study, out, progress=told)
    assert [job.state for job in jobs(study, out)] == ["finished", "begun"]
    assert [row.arm for row in tabulate(study, out).rows] == ["plain", "again"]
    kept = (out / "cells/plain/n4/seed0/manifest.json").stat().st_mtime_ns
    # A kill would have left its locks, and what it was making.
    (out / "cells/mixed/n4/seed0/.kdcli.lock").write_text("")
    draft_of_the_dead(out / "cells/plain/n4/seed1").mkdir(parents=True)
    mine = [out / "cells/plain/n4/.seed1.mine", out / "cells/mixed/n4/seed0/.git", out / "plot-mine.png"]
    for path in mine:
        path.write_text("precious")
    again = Told()
    outcome = run_study(study, out, progress=again)
    assert (outcome.ran, outcome.kept) == (1, 1)
    assert any(note.endswith("mixed@4 seed 0: going on") for note in again.notes)
    assert any("going on after step 1" in note for note in again.notes)
    assert (out / "cells/plain/n4/seed0/manifest.json").stat().st_mtime_ns == kept
    assert not list(out.rglob("*.kdcli-*")) and not list(out.rglob(".kdcli.lock")) and not (out / "claims").exists()
    write_reports(study, tabulate(study, out), out)
    assert [path.read_text() for path in mine] == ["precious"] * 3
    whole, _ = finished
    assert per_image(out / "cells/mixed/n4/seed0", "abs_rel") == per_image(whole / "cells/mixed/n4/seed0", "abs_rel")


def test_arms_can_be_run_one_at_a_time(tiny: Resolve, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_study(tiny(only=["again"], seeds=[0]), out).ran == 1
    assert (out / "cells/again/n4/seed0/student.safetensors").is_file()
    # The reference does the same, so that run is its run.
    study = tiny(seeds=[0])
    assert {str(job.folder): job.state for job in jobs(study, out)} == {
        "cells/again/n4/seed0": "finished", "cells/mixed/n4/seed0": "new",
    }  # fmt: skip
    table = tabulate(study, out)
    assert [row.arm for row in table.rows] == ["plain", "again"] and table.missing == ("mixed@4 seed 0",)
    with pytest.raises(ConfigError, match=r"other settings \(distill.steps\) than again@4 seed 0") as caught:
        jobs(tiny(("steps = 2", "steps = 3"), seeds=[0]), out)
    assert "another --out" in str(caught.value)


def test_what_cannot_work_is_refused_before_the_first_step(tiny: Resolve, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="instance maps"):
        run_study(tiny(('transform = "none"', 'transform = "none", data = "sim:noise,count=8"')), out)
    assert not out.exists()
    (out / "cells" / "mixed" / "n4" / "seed0").mkdir(parents=True)
    (out / "cells" / "mixed" / "n4" / "seed0" / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="in the way of mixed@4 seed 0"):
        run_study(tiny(), out)
    assert (out / "cells" / "mixed" / "n4" / "seed0" / "mine.txt").read_text() == "precious"


def test_a_run_that_fails_costs_only_itself(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdcli.study import attempt

    def distill(config: Any, **options: Any) -> Any:
        if config.main.mixers:
            raise TrainingError("the loss is not a number at step 1")
        return real(config, **options)

    real = attempt.distill
    monkeypatch.setattr(attempt, "distill", distill)
    outcome = run_study(tiny(seeds=[0]), tmp_path / "out")
    assert outcome.ran == 1 and outcome.failed == ("mixed@4 seed 0: the loss is not a number at step 1",)


def test_broken_results_are_named(tiny: Resolve, finished: tuple[Path, Told], tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    path = out / "cells/plain/n4/seed1/eval/per_image.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"plain/n4/seed1/eval' does not hold the whole result"):
        tabulate(tiny(), out)
    path.unlink()
    with pytest.raises(DataError, match=r"per_image\.csv' cannot be read"):
        tabulate(tiny(), out)
