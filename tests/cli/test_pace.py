"""The time left, told however slow a job is, from its first step on."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from kdcli.cli.pace import Pace
from kdcli.cli.remaining import RemainingColumn
from kdcli.cli.show import TrainingProgress
from kdcli.cli.ui import Session
from kdcli.training.loop.train import StepLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_follows_from_all_that_was_done() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.see("a", 10)
    assert pace.left("a", 100) is None and pace.left("unknown", 5) is None
    clock.now = 3600.0  # one in an hour: far beyond what a window of seconds remembers
    pace.see("a", 11)
    assert pace.left("a", 13) == pytest.approx(7200)
    clock.now = 4500.0
    assert pace.left("a", 13) == pytest.approx(6300)
    clock.now = 1e9
    assert pace.left("a", 13) == 0 and pace.left("a", None) is None
    pace.see("a", 0)  # the same job once more
    assert pace.left("a", 13) is None


def test_the_column_of_a_display_says_it() -> None:
    column, progress = RemainingColumn(), Progress()
    clock = Clock()
    column._pace = Pace(clock)
    progress.add_task("slow", total=4)
    (task,) = progress.tasks
    assert column.render(task).plain == "-"
    progress.update(task.id, completed=1)
    clock.now = 600.0
    assert column.render(task).plain == "30 min 0 s left"


def test_a_log_has_the_time_left_at_the_first_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    clock.now = 100.0
    monkeypatch.setattr("kdcli.cli.show.time.monotonic", clock)
    progress = TrainingProgress(Session())
    progress._pace = Pace(clock)
    progress.note("student: distill: 10 steps of 8 images")
    clock.now = 220.0
    log = StepLog(variant="student", stage="distill", step=1, total=11, loss=1.0, terms={}, notes={}, lr=1e-3,
                  grad_norm=1.0, images_per_second=0.07)  # fmt: skip
    progress.step(log)
    assert capsys.readouterr().err.splitlines()[-1].endswith("0.07 images/s, 20 min 0 s left")
