"""``kdcli runs watch`` and ``runs list`` as they are typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from run_files import at_work, lines, owned, row, run_at
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.errors import KdcliError

NOW = {"variant": "student", "stage": "distill"}
WATCH = [sys.executable, "-m", "kdcli", "runs", "watch"]


def said(*args: str) -> str:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def study_at(folder: Path, **facts: Any) -> Path:
    cells = [{"arm": "plain", "count": count, "seed": 0, "run": f"cells/plain/n{count}/seed0"} for count in (5, 9, 13)]
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps({
        "name": "grid", "argv": ["/x/kdcli", "study", "my grid.toml", "--out", str(folder)], "cells": cells, **facts,
    }))
    return folder


def test_one_look_is_lines_or_json(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", row(10, 0.9), row(20, 0.5, l1=0.5), owner="alive", now=NOW)
    assert "step 20 of 100" in said("runs", "watch", str(run), "--once")
    told = json.loads(said("runs", "watch", str(run), "--once", "--json"))
    assert told["state"] == "running" and told["step"] == 20 and told["terms"] == {"l1": 0.5}


def test_it_follows_until_the_run_ends(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", row(10), owner="alive", now=NOW)

    def work() -> None:
        time.sleep(0.3)
        with (run / "metrics.jsonl").open("a") as stream:
            stream.write(lines(row(100, 0.25)))
        time.sleep(0.3)
        owned(run, None)
        (run / "manifest.json").write_text(json.dumps({"state": "failed", "recipe": "r", "error": "no luck"}))

    thread = threading.Thread(target=work)
    thread.start()
    result = CliRunner().invoke(app, ["runs", "watch", str(run), "--every", "0.05"])
    thread.join()
    assert result.exit_code == 0
    assert "step 10 of 100" in result.stderr and "step 100 of 100" in result.stderr
    assert "failed" in result.stdout and "no luck" in result.stdout
    assert f"go on with: kdcli distill --resume {run}" in result.stdout


def test_a_run_that_is_just_beginning_is_waited_for(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", owner=None)  # its process does not own it yet

    def work() -> None:
        time.sleep(0.3)
        owned(run, "alive")
        time.sleep(0.5)
        owned(run, None)
        (run / "manifest.json").write_text(json.dumps({"state": "finished", "recipe": "r"}))

    thread = threading.Thread(target=work)
    thread.start()
    told = json.loads(said("runs", "watch", str(run), "--every", "0.2", "--json"))
    thread.join()
    assert told["state"] == "finished"


def test_a_study_has_a_row_for_each_cell(tmp_path: Path) -> None:
    study = study_at(tmp_path / "grid")
    at_work(study, "alive")
    run_at(study / "cells/plain/n5/seed0", state="finished")
    run_at(study / "cells/plain/n9/seed0", row(50, 0.125), owner="alive", now=NOW)
    told = json.loads(said("runs", "watch", str(study), "--once", "--json"))
    assert told["state"] == "running" and told["counts"] == {"finished": 1, "running": 1, "waiting": 1}
    assert [cell["cell"] for cell in told["cells"]] == ["plain@5 seed 0", "plain@9 seed 0", "plain@13 seed 0"]
    shown = said("runs", "watch", str(study), "--once").splitlines()
    assert shown[0].endswith("study grid running, 1 finished, 1 running, 1 waiting") and len(shown) == 4
    assert "step 50 of 100 (50 %)  loss 0.125" in shown[2]
    at_work(study, "gone")
    told = json.loads(said("runs", "watch", str(study), "--json"))
    assert told["state"] == "stopped" and told["resume"] == f"kdcli study 'my grid.toml' --out {study}"


def test_a_study_that_was_begun_from_python_goes_on_so(tmp_path: Path) -> None:
    study = study_at(tmp_path / "grid", argv=["my_script.py"])
    assert "go on with the call that began it" in said("runs", "watch", str(study), "--once")


def test_the_list_says_how_to_go_on(tmp_path: Path) -> None:
    run_at(tmp_path / "a", state="finished")
    listed = said("runs", "list", "--folder", str(tmp_path))
    assert "go on with" not in listed
    run_at(tmp_path / "b", owner="gone")
    run_at(tmp_path / "c", owner="alive")
    rows = {Path(one["run"]).name: one for one in json.loads(said("runs", "list", "--folder", str(tmp_path), "--json"))}
    assert {name: one["state"] for name, one in rows.items()} == {"a": "finished", "b": "killed", "c": "running"}
    assert rows["b"]["resume"] == f"kdcli distill --resume {tmp_path / 'b'}" and rows["c"]["resume"] is None
    assert rows["b"]["resume"] in said("runs", "list", "--folder", str(tmp_path))


def test_control_c_ends_the_watching_alone(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", row(10), owner="alive", now=NOW)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with subprocess.Popen([*WATCH, str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None
        assert "step 10 of 100" in watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
    assert watching.returncode == 130 and err.splitlines()[-1] == "kdcli: interrupted"
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("every", ["0", "-1", "nan", "1e9"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, every: str) -> None:
    error = CliRunner().invoke(app, ["runs", "watch", str(tmp_path), "--every", every]).exception
    assert isinstance(error, KdcliError) and "is no time between two looks" in str(error)


def test_no_network_library_is_loaded_to_look_on(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", row(10), owner="alive", now=NOW)
    code = f"import sys; from kdcli.watching import RunLook; RunLook(folder=__import__('pathlib').Path({str(run)!r}))"
    code += ".lines(); print([m for m in ('torch', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
