"""The tiny study with two runs at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from study_text import Told

from kdcli.errors import DataError, WeightsError
from kdcli.study import Study
from kdcli.study.pool import _sendable
from kdcli.study.run import run_study
from kdcli.training.loop.train import StepLog

Resolve = Callable[..., Study]


def students(out: Path) -> dict[str, str]:
    """Folder of each finished run -> hash of its student."""
    found = {str(path.parent.relative_to(out)): json.loads(path.read_text()) for path in out.rglob("manifest.json")}
    return {folder: told["student_sha256"] for folder, told in found.items() if told["state"] == "finished"}


class Listening(Told):
    """Does something at the first step that it is told of."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act, self.steps = act, list[StepLog]()

    def step(self, log: StepLog) -> None:
        self.steps.append(log)
        if len(self.steps) == 1:
            self._act()


def test_two_at_a_time_give_the_students_of_one_after_the_other(
    tiny: Resolve, finished: tuple[Path, Told], tmp_path: Path
) -> None:
    told = Listening(lambda: None)
    outcome = run_study(tiny(), tmp_path, progress=told, processes=2)
    assert (outcome.ran, outcome.kept, outcome.failed) == (4, 0, ())
    assert students(tmp_path) == students(finished[0]) and len(students(tmp_path)) == 4
    begun = [note for note in told.notes if note.startswith("[") and " seed " in note]
    assert [note.split("/")[0] for note in begun] == ["[1", "[2", "[3", "[4"]
    assert {log.variant for log in told.steps} <= {
        f"{arm}@4 seed {seed}: student" for arm in ("plain", "mixed") for seed in (0, 1)
    }
    assert not multiprocessing.active_children()
    assert run_study(tiny(), tmp_path, processes=2).kept == 4


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done_and_a_killed_process_costs_its_run_only(tiny: Resolve, tmp_path: Path) -> None:
    longer = tiny(("steps = 2,", "steps = 40,"), ("seeds = [0, 1]", "seeds = [0]"))
    told = Listening(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run_study(longer, tmp_path, progress=told, processes=2)
    assert not multiprocessing.active_children() and not students(tmp_path)
    assert any("kept in " in note and "go on with" in note for note in told.notes)

    def kill() -> None:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    hurt = Listening(kill)
    outcome = run_study(longer, tmp_path, progress=hurt, processes=2)
    assert any("going on" in note for note in hurt.notes), "begun runs are gone on with"
    assert outcome.ran == 1 and len(outcome.failed) == 1 and "killed by signal 9" in outcome.failed[0]
    assert len(students(tmp_path)) == 1
    assert run_study(longer, tmp_path, processes=2).ran == 1
    assert len(students(tmp_path)) == 2


def test_what_a_run_refuses_stops_the_others(tiny: Resolve, teacher: str, tmp_path: Path) -> None:
    weights = tmp_path / "teacher.safetensors"
    weights.write_bytes(Path(teacher.removeprefix("run:")).read_bytes())
    study = tiny(("steps = 2,", "steps = 400,"), settings=[f"teacher=run:{weights}"])
    out = tmp_path / "out"

    class Spoiling(Told):
        def note(self, message: str) -> None:
            super().note(message)
            if message.startswith("[1/"):  # read by the parent already, and not by those that begin now
                weights.write_bytes(b"nothing")

    with pytest.raises(WeightsError, match=str(weights)):
        run_study(study, out, progress=Spoiling(), processes=2)
    assert not multiprocessing.active_children() and not students(out)


def test_an_error_that_cannot_be_sent_is_sent_as_its_words() -> None:
    class Odd(Exception):
        """Cannot be found by its name, so it cannot be unpickled."""

    assert str(_sendable(Odd("left"))) == "Odd: left"
    kept = DataError("here")
    assert _sendable(kept) is kept
