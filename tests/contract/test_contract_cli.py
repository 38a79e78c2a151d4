"""Prototypes as they are typed: recipes of several stages, teachers by name, a run killed and gone on with, reports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from contract_runs import differing
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.errors import ConfigError
from kdcli.recipes import read

MAIN = '[[stage]]\nname = "main"\n'


def typed(*arguments: object) -> str:
    """Run kdcli and return what it printed."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def told(*arguments: object) -> Any:
    """Run kdcli and return its document."""
    return json.loads(typed(*arguments, "--json"))


def test_a_dry_run_names_stages_and_takes_teachers_by_name(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = typed("distill", "--recipe", "auxiliary", "--dry-run", "--teacher", "big=tiny-teacher,number=7,width=4")
    assert 'teachers = ["aux=stage:aux", "big=tiny-teacher,number=7,width=4"]  # flag' in said
    assert re.search(r"aux +3 .* 6,937 ", said)
    assert re.search(r"main +6 .* 1,849 ", said)
    assert re.search(r"total +9 ", said)
    assert "aux: terms at the first step: log-l1 " in said
    assert "main: terms at the first step: kernel,teacher=aux.divergence " in said
    document = told("distill", "--recipe", "auxiliary", "--dry-run")
    assert document["parameters"]["aux"] == 6937 and document["parameters"]["big"] == 3185
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_that_was_killed_in_its_second_stage_goes_on_to_the_same_bits(installed: Path, tmp_path: Path) -> None:
    _, text = read("align-frozen")
    recipe = tmp_path / "long.toml"
    long = text.replace(MAIN, f"{MAIN}steps = 80\n").replace("checkpoint_every = 2", "checkpoint_every = 10")
    recipe.write_text(long.split("[twin]")[0], encoding="utf-8")
    run = tmp_path / "run"
    arguments = ["distill", "--recipe", str(recipe), "--out", str(run), "--quiet"]
    # The same last bit takes the same number of threads: sums are split differently otherwise.
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": path}
    process = subprocess.Popen([sys.executable, "-P", "-m", "kdcli", *arguments], env=environment)
    try:
        deadline = time.monotonic() + 120
        while '"main", "step": 12' not in _read(run / "metrics.jsonl") and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL and not (run / "student.safetensors").exists()
    typed("distill", "--resume", run, "--quiet")
    typed("distill", "--recipe", recipe, "--out", tmp_path / "whole", "--quiet")
    assert not differing(tmp_path / "whole", run)
    again = CliRunner().invoke(app, ["distill", "--resume", str(run)]).exception
    assert isinstance(again, ConfigError) and "is finished" in str(again)


def test_report_and_table_name_stages_teachers_and_notes(installed: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "aux.toml"
    recipe.write_text(read("auxiliary")[1], encoding="utf-8")
    run = tmp_path / "run"
    said = typed("distill", "--recipe", recipe, "--out", run, "--eval-data", "sim:rooms,count=2,seed=7")
    for label in ("teacher (aux)", "teacher 2 (big)", "twin (without the auxiliary teacher)"):
        assert label in said
    page = (run / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<h2>Training[^<]*</h2>", page) == [
        "<h2>Training: stage aux</h2>", "<h2>Training: stage main</h2>",
    ]
    for text in (
        "teacher 2 (big)", "student - teacher (aux) (n=2)", "student early.divergence", "student log-l1,teacher=big<",
        "student early.weight", "What plugins told beside their terms.", "stage aux: losses", "stage main: teachers",
    ):
        assert text in page, text
    shown = typed("runs", "show", run)
    assert re.search(r"stage aux +trains tiny,width=12, taught by big=tiny-teacher.* kept as stages/aux", shown)
    assert re.search(r"stage main +trains tiny,width=6, taught by aux=stage:aux, big=tiny-teacher", shown)
    assert re.search(r"delta1 teacher \(aux\) ", shown)
    assert re.search(r"seconds +\d+\.\d *$", shown, flags=re.MULTILINE)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    weights = [row["note/early.weight"] for row in rows if row["stage"] == "main" and row["variant"] == "student"]
    assert weights == pytest.approx([1, 1, 1, 0.7, 0.7, 0.7])


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
