"""A search from its first rung to its table, whatever comes between; its runs train nothing but where that is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from search_runs import TUNED, error_of, without_training
from study_text import Told
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.errors import ConfigError, TrainingError
from kdcli.study import attempt
from kdcli.study.search import Search, ask, halve
from kdcli.study.search.halve import run_search
from kdcli.study.search.record import Record
from kdcli.training.run.folder import RunFolder

Made = list[tuple[str, int]]


def asked(*replaced: tuple[str, str], **given: Any) -> Search:
    text = TUNED
    for old, new in replaced:
        text = text.replace(old, new)
    return ask(text, source=Path("tuned.toml"), **given)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The runs that were made, none of which trains."""
    runs: Made = []
    monkeypatch.setattr(attempt, "distill", without_training(runs))
    return runs


def test_the_best_half_goes_on_and_the_best_is_measured_elsewhere(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, told = asked(), Told()
    found = run_search(search, tmp_path, progress=told)
    rates = {trial.name: trial.values["lr"] for trial in search.first}
    order = sorted(rates, key=lambda name: abs(torch.tensor(rates[name]).log10().item() + 2))
    first, second = found.record.decisions
    assert [name for name, _ in first.scores] == order and first.kept == tuple(order[:2])
    assert second.kept == (order[0],) and found.best.name == order[0]
    assert [(Path(run).parts[-4], steps) for run, steps in made] == [
        *[("rung-1", 2)] * 4, *[("rung-2", 4)] * 2, *[(tmp_path.name, 8)] * 2,
    ]  # fmt: skip
    assert [arm.name for arm in found.study.arms] == [order[0], "default"] and found.study.reference == "default"
    assert (found.outcome.ran, found.outcome.kept, found.outcome.failed) == (8, 0, ())
    best = RunFolder.open(tmp_path / "cells" / order[0] / "seed0")
    assert best.config().main.lr == rates[order[0]] and best.config().eval_data == "sim:rooms,count=3,seed=7"
    assert dict(second.scores)[order[0]] == pytest.approx(error_of(best.config()) - 1 / 8 + 1 / 4)
    assert json.loads((tmp_path / "rung-1" / "report.json").read_text())["teachers"] == []
    assert list((tmp_path / "teachers").iterdir()), "measured where the table is"

    made.clear()
    again = run_search(search, tmp_path)
    assert not made and (again.outcome.ran, again.outcome.kept, again.record) == (0, 2, found.record)
    # One that is still at the first rung while others have decided on all of them goes on where they are.
    monkeypatch.setattr(halve, "read", lambda search, out: Record(trials=search.first))
    late = run_search(search, tmp_path)
    assert not made and (late.outcome.kept, late.record) == (6, found.record)


def test_it_goes_on_with_the_same_settings_wherever_it_was_stopped(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopping(Told):
        def note(self, message: str) -> None:
            super().note(message)
            if message.startswith("[3/4]"):
                raise KeyboardInterrupt

    out, whole = tmp_path / "out", tmp_path / "copy"
    with pytest.raises(KeyboardInterrupt):
        run_search(asked(), out, progress=Stopping())
    assert len(made) == 2 and not (out / "search.json").exists()
    found = run_search(asked(), out)
    assert len(made) == len(set(made)) == 8, "nothing is run twice"
    shutil.copytree(out, whole)
    # What was decided holds, also where a run of a rung has gone since; a search of more goes on with what fits.
    (out / "rung-1" / "cells" / "default" / "seed1" / "config.toml").unlink()
    made.clear()
    assert run_search(asked(), out).record == found.record and not made
    more = run_search(asked(options={"trials": 6}), whole)
    assert [steps for _, steps in made].count(2) == 2 and len(more.record.trials) == 6
    with pytest.raises(ConfigError, match=r"other settings \(distill.lr\) than t01 seed 1 has now; use another --out"):
        run_search(asked(seed=5), whole)


def test_a_setting_that_fails_loses_and_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Made = []
    monkeypatch.setattr(attempt, "distill", without_training(made, lambda config: config.main.lr > 2e-2))
    found = run_search(asked(), tmp_path)
    first = found.record.decisions[0]
    lost = [name for name, score in first.scores if score is None]
    assert lost[0] == "default" and first.scores[-1][0] == lost[-1] and len(first.failed) == len(lost) > 1
    assert "default seed 1: the loss is not a number" in first.failed[0]
    assert found.best.values["lr"] <= 2e-2 and len(found.outcome.failed) == 1, "that of the file's values in the table"
    tried = sum("rung" in run for run, _ in made)
    assert [run for run, _ in made].count(str(tmp_path / "rung-1/cells/default/seed1")) == 1 and tried == 6
    run_search(asked(), tmp_path)
    assert sum("rung" in run for run, _ in made) == tried
    monkeypatch.setattr(attempt, "distill", without_training([], lambda config: True))
    with pytest.raises(TrainingError, match="no setting of rung 1 came to an end: default seed 1: the loss"):
        run_search(asked(), tmp_path / "none")


def test_what_the_table_needs_is_refused_before_the_first_rung(made: Made, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="count"):
        run_search(asked(("count=3,seed=7", "count=-3,seed=7")), tmp_path / "out")
    assert not made and not (tmp_path / "out").exists()


def test_settings_are_told_best_first_and_how_they_were_chosen(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tuned.toml").write_text(TUNED)

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["study", "tuned.toml", *words], env={"COLUMNS": "200"})
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    plan = json.loads(run("--search", "--dry-run", "--json"))
    assert [(row["title"], row["settings"], row["budget"], row["total"]) for row in plan["rows"]] == [
        ("rung 1", 4, 2, 8), ("rung 2", 2, 4, 8), ("table", 2, 8, 16),
    ]  # fmt: skip
    assert plan["total"] == 32 and plan["seconds"] > 0 and len(plan["trials"]) == 4 and not made
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.toml"]

    said = run("--search")
    told = json.loads(run("--search", "--json"))
    best, out = told["search"]["best"], "studies/tuned-search"
    assert said.splitlines()[2].split()[:2] == [best, str(told["search"]["values"]["lr"])]
    assert "best of 4 settings by abs_rel on sim:rooms,count=3,seed=9, at 4 steps. Images and seeds" in said
    assert said.splitlines()[-1] == f"  kdcli distill --recipe {out}/cells/{best}/seed0/config.toml"
    assert told["search"]["command"].split() == said.splitlines()[-1].split()
    assert [row["arm"] for row in told["rows"]] == [best, "default"] and told["kept"] == 2
    assert "best of 4 settings" in (tmp_path / out / "report.html").read_text()
    assert run("--search", "--dry-run").count("decided") == 2
    error = CliRunner().invoke(app, ["study", "tuned.toml", "--trials", "9"]).exception
    assert isinstance(error, ConfigError) and "--trials is of a search; add --search" in str(error)


def test_draws_that_look_at_earlier_ones_come_in_three_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="needs the extra kdcli[search]")
    made: Made = []
    monkeypatch.setattr(attempt, "distill", without_training(made, lambda config: config.main.lr == 0.5))
    search, told = asked(options={"draws": "tpe", "trials": 6}), Told()
    assert len(search.first) == 2
    found = run_search(search, tmp_path / "a", progress=told)
    assert len(found.record.trials) == 6 and found.outcome.kept == 0
    assert len(made) == len(set(made)) == found.outcome.ran + 2
    assert found.record.decisions[0].scores[-1] == ("default", None) and len(found.record.decisions[0].failed) == 1
    assert run_search(search, tmp_path / "b").record.trials == found.record.trials


@pytest.mark.slow
def test_two_processes_and_two_runs_at_a_time_come_to_one_end(tmp_path: Path) -> None:
    (tmp_path / "tuned.toml").write_text(TUNED)
    words = [sys.executable, "-m", "kdcli", "study", "tuned.toml", "--search", "--trials", "2",
             "--out", "out", "--json", "--logger", "none"]  # fmt: skip
    start: Callable[..., subprocess.Popen[str]] = lambda *more: subprocess.Popen(  # noqa: E731
        [*words, *more], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    both = [start(), start("--jobs", "2")]
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], [errors for _, errors in ends]
    told = [json.loads(text) for text, _ in ends]
    assert told[0]["search"] == told[1]["search"] and told[0]["rows"] == told[1]["rows"]
    runs = len(list((tmp_path / "out").rglob("manifest.json")))
    assert told[0]["ran"] + told[1]["ran"] == runs
