"""A study that several processes work on by a folder that they share."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from study_text import TINY, Told

from kdcli import claims, locks
from kdcli.claims import FOLDER
from kdcli.study import Study
from kdcli.study.cells import jobs
from kdcli.study.queue import Queue
from kdcli.study.run import run_study
from kdcli.study.table import tabulate

Resolve = Callable[..., Study]
SHORT = ("steps = 2,", 'steps = 2, export = "none", loggers = "none",')
LONG = ("steps = 2,", 'steps = 30, export = "none", loggers = "none",')
AWAY = {**claims._record(), "host": "elsewhere", "boot": "another"}
ONE_SEED = ("seeds = [0, 1]", "seeds = [0]")


def started(folder: Path, teacher: str, *replaced: tuple[str, str]) -> subprocess.Popen[str]:
    """Start ``kdcli study`` on ``folder/out`` in a process of its own."""
    text = TINY
    for old, new in replaced:
        text = text.replace(old, new)
    (folder / "tiny.toml").write_text(text)
    # The same last bits take the same number of threads: sums are split differently otherwise.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, "-m", "kdcli", "study", "tiny.toml", "--set", f"teacher={teacher}", "--out", "out", "--json"],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
    )


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


class After(Told):
    """Begins its first run when something is so."""

    def __init__(self, what: Callable[[], bool]) -> None:
        super().__init__()
        self._what = what

    def note(self, message: str) -> None:
        super().note(message)
        if message.startswith("[1/"):
            wait_for(self._what)


def test_two_processes_do_each_run_once_and_make_one_table(
    tiny: Resolve, teacher: str, finished: tuple[Path, Told], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    study, other = tiny(SHORT, ONE_SEED), started(tmp_path, teacher, SHORT, ONE_SEED)
    told = After(lambda: (out / "cells/mixed/n4/seed0/manifest.json").exists())
    outcome = run_study(study, out, progress=told)
    said, errors = other.communicate(timeout=120)
    assert other.returncode == 0, errors
    theirs = json.loads(said)
    assert (outcome.ran, outcome.elsewhere, theirs["ran"], theirs["elsewhere"]) == (1, 1, 1, 1)
    assert sum("measuring" in line for line in [*told.notes, *errors.splitlines()]) == 1
    mine, alone = (json.loads(json.dumps(tabulate(study, where).document()["rows"])) for where in (out, finished[0]))
    assert mine == theirs["rows"] == alone
    assert not list(out.rglob("*.kdcli*")) and not (out / FOLDER).exists()
    report = json.loads((out / "report.json").read_text())
    assert report["rows"] == alone and not report["missing"]


@pytest.mark.slow
def test_the_run_of_one_that_was_killed_is_gone_on_with(tiny: Resolve, teacher: str, tmp_path: Path) -> None:
    out, study = tmp_path / "out", tiny(LONG, ONE_SEED, only=["plain"])
    other = started(tmp_path, teacher, LONG, ONE_SEED)
    wait_for((out / "cells/plain/n4/seed0/checkpoints/state.pt").exists)

    class Killing(Told):
        def note(self, message: str) -> None:
            super().note(message)
            if message.startswith("other processes"):
                other.kill()
                other.wait()

    told = Killing()
    outcome = run_study(study, out, progress=told)
    assert (outcome.ran, outcome.elsewhere, outcome.failed) == (1, 0, ())
    title = "plain@4 seed 0 (and again@4 seed 0)"
    assert told.notes[:2] == [
        f"other processes are at work on {title}; waiting for them",
        f"{title}: process {other.pid} of machine '{platform.node()}' ended in the middle of it",
    ]
    assert told.notes[2] == f"[1/1] {title}: going on" and any("going on after step" in note for note in told.notes)
    assert not (out / FOLDER).exists()


def test_one_of_another_machine_that_is_silent_loses_its_run(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, study = tmp_path / "out", tiny(SHORT, ONE_SEED, only=["mixed"])
    (job,) = (job for job in jobs(study, out) if job.wanted)
    (out / FOLDER).mkdir(parents=True)
    claim = out / FOLDER / f"{job.cell.key}.1"
    claim.write_text(json.dumps(AWAY))
    os.utime(claim, (4e9, 4e9))  # its clock is decades ahead
    beats: list[float] = []

    def beat(seconds: float) -> None:
        """Let the other live for two looks, and time pass."""
        clock[0] += 100.0
        if len(beats) < 2:
            beats.append(clock[0])
            os.utime(claim, (4e9, 4e9 + len(beats)))

    clock = [0.0]
    monkeypatch.setattr("kdcli.study.run.time.sleep", beat)
    monkeypatch.setattr("kdcli.claims.time.monotonic", lambda: clock[0])
    told = Told()
    outcome = run_study(study, out, progress=told)
    assert outcome.ran == 1 and clock[0] == 400.0
    assert "other processes are at work on mixed@4 seed 0; waiting for them" in told.notes
    assert any("of machine 'elsewhere' ended in the middle of it" in note for note in told.notes)


@pytest.mark.parametrize("heard", [True, False], ids=["it has heard", "it wakes up"])
def test_a_run_that_was_taken_over_ends_here_and_is_the_others(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    out, study = tmp_path / "out", tiny(SHORT, ONE_SEED, only=["mixed"])
    (job,) = (job for job in jobs(study, out) if job.wanted)
    monkeypatch.setattr(claims, "BEAT", 0.01 if heard else 3600.0)
    theirs = out / FOLDER / f"{job.cell.key}.2"
    run = out / job.folder
    known, beat, before = threading.Event(), claims.Claim.beat, list[bytes]()

    def beaten(claim: claims.Claim) -> None:
        beat(claim)
        if claim.lost:
            known.set()

    monkeypatch.setattr(claims.Claim, "beat", beaten)

    class Taking(Told):
        def step(self, log: object) -> None:
            if not theirs.exists():
                theirs.write_text(json.dumps(AWAY))
                (run / locks.NAME).unlink()
                (run / locks.NAME).write_text(json.dumps(AWAY))
                before.append((run / "manifest.json").read_bytes())
                assert not heard or known.wait(60)

        def note(self, message: str) -> None:
            super().note(message)
            if message.startswith("other processes"):
                theirs.write_text(json.dumps({**AWAY, "end": "failed", "why": "no number"}))

    told = Taking()
    outcome = run_study(study, out, progress=told)
    assert any("another one took" in note for note in told.notes)
    assert (outcome.ran, outcome.failed) == (0, ("mixed@4 seed 0: no number",))
    assert [(run / "manifest.json").read_bytes()] == before, "it is the other's to write"
    assert not (run / "metrics.jsonl").read_text()


def test_a_run_that_is_still_at_work_is_left_alone(tiny: Resolve, tmp_path: Path) -> None:
    """As the worker of a process that was killed is for a moment, until it has saved."""
    study, told = tiny(SHORT, ONE_SEED), Told()
    todo = jobs(study, tmp_path)
    with claims.Claims(tmp_path / FOLDER) as mine:
        queue = Queue(todo, study, tmp_path, mine, told)
        lock = tmp_path / todo[0].folder / locks.NAME
        lock.parent.mkdir(parents=True)
        lock.write_text(json.dumps(claims._record()))
        assert [queue.take(), queue.take()] == [todo[1], None]
        queue.ended(todo[1])
        assert queue.others() and told.notes == [
            f"other processes are at work on {todo[0].title}; waiting for them"
        ]
        lock.unlink()
        assert queue.take() == todo[0]
        queue.ended(todo[0])
        assert queue.take() is None and not queue.others() and not queue.failed
