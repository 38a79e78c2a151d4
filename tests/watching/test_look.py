"""One look at a run: its state, its place, its numbers, what is left."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from run_files import PLAN, lines, owned, row, run_at

from kdcli.errors import DataError
from kdcli.watching import RunLook
from kdcli.watching.drawing import BARS, PLAIN, duration, letters_for, sparkline
from kdcli.watching.estimate import seconds_left
from kdcli.watching.steps import StepsFile

NOW = {"variant": "student", "stage": "distill"}


@pytest.mark.parametrize(("state", "owner", "expected", "resumes"), [
    ("running", "alive", "running", False), ("running", "gone", "killed", True), ("running", None, "killed", True),
    ("running", "away", "running", False), ("interrupted", None, "interrupted", True),
    ("interrupted", "gone", "interrupted", True), ("interrupted", "alive", "running", False),
    ("failed", None, "failed", True), ("finished", None, "finished", False), ("finished", "gone", "finished", False),
])
def test_state_is_what_was_written_down_and_who_is_there(
    tmp_path: Path, state: str, owner: str | None, expected: str, resumes: bool
) -> None:
    run = run_at(tmp_path / "a run", row(10), state=state, owner=owner, now=NOW, error="not a number")
    look = RunLook(folder=run)
    assert look.state.state == expected and look.ended == (expected != "running")
    assert look.document()["resume"] == (f"kdcli distill --resume '{run}'" if resumes else None)
    shown = "\n".join(look.lines())
    assert ("not a number" in shown) == (expected in ("failed", "interrupted"))
    assert ("machine 'elsewhere'" in shown) == (owner == "away")


def test_place_numbers_and_what_is_left(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", row(10, 0.9, l1=0.9), row(20, 0.5, l1=0.4, speed=10.0), owner="alive", now=NOW)
    os.utime(run / "metrics.jsonl", (time.time() - 3, time.time() - 3))
    seen = RunLook(folder=run).document()
    assert (seen["variant"], seen["stage"], seen["step"], seen["steps"]) == ("student", "distill", 20, 100)
    assert (seen["loss"], seen["terms"], seen["images_per_second"]) == (0.5, {"l1": 0.4}, 10.0)
    assert seen["losses"] == [0.9, 0.5]
    # 80 steps and the twin's 100, of 8 images, at 10 images a second, but for the three seconds since.
    assert seen["seconds_left"] == pytest.approx(180 * 8 / 10 - 3, abs=1)
    shown = RunLook(folder=run).lines()
    assert "running, student distill: step 20 of 100 (20 %)" in shown[0] and "l1 0.4" in shown[1]
    assert BARS[-1] + BARS[0] in shown[1] and "about 2 min 21 s of training left" in shown[2]


@pytest.mark.parametrize(("now", "words"), [
    ({"variant": "student", "stage": "fit"}, "running, student fit"),
    ({"variant": "student", "stage": "evaluation"}, "running, student evaluation"),
])
def test_a_stage_that_logs_nothing_is_named(tmp_path: Path, now: dict[str, str], words: str) -> None:
    run = run_at(tmp_path / "run", row(100), owner="alive", now=now)
    assert RunLook(folder=run).lines() == [f"{run}: {words}"]


def test_a_run_without_a_plan_or_a_step(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", owner="alive", plan=[])
    assert RunLook(folder=run).lines() == [f"{run}: running"]
    (run / "metrics.jsonl").write_text(lines(row(3, speed=None)))  # as of an earlier version
    shown = RunLook(folder=run).lines()
    assert shown[0].endswith("student distill: step 3") and "time left: not known yet" in shown[2]


def test_what_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no run at"):
        RunLook(folder=tmp_path)
    run = run_at(tmp_path / "run")
    (run / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest.json' is damaged"):
        RunLook(folder=run)


def test_a_run_that_came_to_nothing_while_it_was_watched(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", owner="alive")
    look = RunLook(folder=run)
    for path in run.iterdir():
        path.unlink()
    run.rmdir()
    with pytest.raises(DataError, match="is gone: it ended before it had done anything"):
        look.again()


def test_a_manifest_that_is_being_replaced_is_that_of_before(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", row(10), owner="alive", now=NOW)
    look = RunLook(folder=run)
    (run / "manifest.json").unlink()  # as a network shows it for a moment
    look.again()
    assert look.state.state == "running"
    owned(run, None)
    (run / "manifest.json").write_text(json.dumps({"state": "finished", "recipe": "r"}))
    look.again()
    assert look.ended and look.document()["stage"] is None


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    steps = StepsFile(path=path)
    assert steps.look() == 0  # not there yet
    whole = lines(row(1), row(2))
    path.write_text(whole + lines(row(3))[:20])
    assert steps.look() == 2 and steps.look() == 0
    path.write_text(whole + lines(row(3), row(4)))
    assert steps.look() == 2 and [one["step"] for one in steps.rows] == [1, 2, 3, 4]


def test_a_file_that_was_cut_or_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(row(1), row(2), row(3)))
    steps = StepsFile(path=path)
    steps.look()
    path.write_text(lines(row(1)))
    assert steps.look() == 1
    (tmp_path / "new").write_text(lines(row(1), row(2, 0.125), row(3), row(4)))
    (tmp_path / "new").replace(path)  # as a run does that goes on
    steps.look()
    assert [one["loss"] for one in steps.rows] == [0.5, 0.125, 0.5, 0.5]


@pytest.mark.parametrize("odd", [
    b"\xff\xfe\n", b"[" * 5000 + b"\n", b"[]\n", b'{"step": 1}\n', b"\n",
    b'{"variant": "a", "stage": "b", "step": 1, "loss": NaN}\n',
    b'{"variant": "a", "stage": "b", "step": 1, "loss": null}\n',
])
def test_lines_that_are_no_steps_are_passed_over(tmp_path: Path, odd: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(lines(row(1)).encode() + odd + lines(row(2)).encode())
    steps = StepsFile(path=path)
    steps.look()
    assert [one["step"] for one in steps.rows] == [1, 2]


def test_time_left_of_stages_that_have_not_begun() -> None:
    assert seconds_left(PLAN, []) is None
    # 100 of 8 at 20 a second, for the twin as well; the fit lies behind.
    assert seconds_left(PLAN, [], ("student", "fit")) is None
    assert seconds_left(PLAN, [row(50)]) == pytest.approx((50 + 100) * 8 / 20)
    # The twin's stage is as fast as the run's of that name, until it says so itself.
    rows = [row(100, speed=40.0)]
    assert seconds_left(PLAN, rows, ("twin", "distill")) == pytest.approx(100 * 8 / 40)
    assert seconds_left(PLAN, [*rows, row(25, variant="twin", speed=10.0)]) == pytest.approx(75 * 8 / 10)
    # Of the time since the last row no more counts than there is between two rows.
    two = [row(40), row(50)]
    assert seconds_left(PLAN, two, age=1.0) == pytest.approx(150 * 8 / 20 - 1)
    assert seconds_left(PLAN, two, age=1000.0) == pytest.approx(150 * 8 / 20 - 10 * 8 / 20)


def test_bars_and_words() -> None:
    assert sparkline([]) == "" and sparkline([2.0, 2.0]) == BARS[0] * 2
    assert sparkline([0.0, 1.0, 2.0], letters="abc") == "abc"
    assert sparkline(list(map(float, range(100))), 8) == BARS
    assert letters_for("utf-8") == BARS and letters_for("ascii") == PLAIN and letters_for(None) == PLAIN
    assert letters_for("no-such-encoding") == PLAIN
    told = [duration(s) for s in (0.2, 61, 3600, 90061)]
    assert told == ["0 s", "1 min 1 s", "1 h", "1 d 1 h"]
