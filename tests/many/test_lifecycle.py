"""Several processes begin, stop, go on in another number, and are refused where one is meant."""

from __future__ import annotations

import csv
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from started import TINY, command, environment, started, steps_of
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.evals import evaluate
from kdcli.models import load_model
from kdcli.plugins import registry
from kdcli.training.loop import checkpoint

RUN = ("-m", "kdcli", *TINY, "--recipe", "plain", "--data", "sim:blocks,count=64")
LONG = ("--steps", "2000", "--set", "checkpoint_every=5")


def manifest(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return found


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert process.poll() is None and time.monotonic() < end, "it ended before, or nothing happened"
        time.sleep(0.1)


def begun(folder: Path, *more: str) -> subprocess.Popen[str]:
    """Start two processes of a long run and wait for its first checkpoint."""
    process = subprocess.Popen(
        command(2, *more, *RUN, *LONG, "--out", "run"), cwd=folder, env=environment(), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    wait_for((folder / "run" / "checkpoints" / "state.pt").is_file, process)
    return process


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that one started."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(word) for word in found.split()]


@pytest.mark.slow(share=0.5)
def test_stopped_by_two_and_ended_by_one(tmp_path: Path) -> None:
    process = begun(tmp_path)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    kept = manifest(tmp_path / "run")
    assert (kept["state"], kept["exit_code"], kept["processes"]) == ("interrupted", 130, 2)
    config = tmp_path / "run" / "config.toml"
    at = len(steps_of(tmp_path / "run"))
    config.write_text(config.read_text().replace("steps = 2000", f"steps = {at + 3}"))
    started(1, "-m", "kdcli", "distill", "--resume", "run", "--device", "cpu", folder=tmp_path)
    assert manifest(tmp_path / "run")["state"] == "finished"
    assert [row["step"] for row in steps_of(tmp_path / "run")] == list(range(1, at + 4))


@pytest.mark.slow(share=0.5)
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="asks /proc which processes were started")
def test_one_that_is_lost_is_started_again(tmp_path: Path) -> None:
    process = begun(tmp_path, "--max-restarts=1")
    before = len(steps_of(tmp_path / "run"))
    last = children_of(process)[-1]
    subprocess.run(["kill", "-KILL", str(last)], check=True)
    wait_for(lambda: len(steps_of(tmp_path / "run")) > before + 5 and last not in children_of(process), process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    rows = [row["step"] for row in steps_of(tmp_path / "run")]
    assert rows == list(range(1, len(rows) + 1)) and rows[-1] > before


def end_of(pid: int, seconds: float = 60) -> None:
    """Wait for the end of a process that may be nobody's child here."""
    end = time.monotonic() + seconds
    while (status := Path(f"/proc/{pid}/stat")).exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end, f"process {pid} is left"
        time.sleep(0.1)


@pytest.mark.slow(share=0.5)
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="asks /proc which processes were started")
def test_they_keep_what_they_did_when_torchrun_is_killed(tmp_path: Path) -> None:
    process = begun(tmp_path)
    theirs = children_of(process)
    assert len(theirs) == 2
    process.kill()
    process.communicate(timeout=120)
    for pid in theirs:
        end_of(pid)
    kept = manifest(tmp_path / "run")
    assert (kept["state"], kept["exit_code"]) == ("interrupted", 130)
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "state.pt")["step"] == len(steps_of(tmp_path / "run"))


STARTER = """
import os, subprocess, sys, time
alone = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[1], "LOCAL_RANK": "1",
         "TORCHELASTIC_RUN_ID": "killed", "LOCAL_WORLD_SIZE": "2"}
print(subprocess.Popen([sys.executable, *sys.argv[2:]], env=os.environ | alone, start_new_session=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="asks /proc whether a process is there")
def test_one_that_waits_for_the_others_ends_with_torchrun(tmp_path: Path) -> None:
    """Its store was that of ``torchrun``; it would be waited for as long as a network takes to be fitted."""
    with socket.socket() as silent:  # somebody listens there who never says anything
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(silent.getsockname()[1]), *RUN, "--out", "run"], cwd=tmp_path,
            env=environment(), text=True, stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        silent.settimeout(120)
        other, _ = silent.accept()  # it asks for the store
        process.kill()
        process.communicate(timeout=60)
        end_of(pid, 20)
        other.close()


@pytest.mark.slow(share=0.5)
def test_what_several_cannot_share_is_refused(tmp_path: Path) -> None:
    told = started(2, *RUN, "--batch-size", "3", "--out", "run", folder=tmp_path, code=1)
    assert "batch of 3 images cannot be shared by 2 processes; give --batch-size 2" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.slow(share=0.5)
def test_each_measures_its_part_and_none_twice(tmp_path: Path) -> None:
    data = "sim:rooms,count=7,seed=3"
    started(2, *RUN, "--steps", "2", "--eval-data", data, "--twin", "--out", "run", folder=tmp_path)
    with (tmp_path / "run" / "eval" / "per_image.csv").open() as stream:
        ids = [row["image"] for row in csv.DictReader(stream) if row["model"] == "student"]
    assert len(ids) == len(set(ids)) == 7
    told = json.loads((tmp_path / "run" / "eval" / "results.json").read_text())["student"]
    alone = evaluate({"student": load_model(tmp_path / "run")}, registry.build("source", data), size=(32, 48))
    assert told["metrics"]["delta1"] == pytest.approx(alone["student"].metrics["delta1"], abs=1e-5)


@pytest.mark.parametrize("words", [("eval", "teacher:demo", "--data", "sim:rooms,count=1"), ("distill", "--dry-run")])
def test_other_commands_are_of_one_process(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == 1 and "WORLD_SIZE=4" in str(done.exception)


def test_part_of_a_batch() -> None:
    from kdcli.many.group import Group

    assert [Group(rank=rank, size=4).part(8) for rank in range(4)] == [slice(at, at + 2) for at in range(0, 8, 2)]
