"""``benchmarks/step_loops.py`` on small networks."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_a_kept_teacher_is_no_part_of_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("benchmarks", "docs"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    out = tmp_path / "loops.json"
    monkeypatch.setattr(sys, "argv", ["step_loops.py", "--tiny", "--rounds", "2", "--out", str(out)])
    runpy.run_path(str(ROOT / "benchmarks" / "step_loops.py"), run_name="__main__")
    asked, kept = (rows := json.loads(out.read_text()))["step_loops"]
    assert (asked["teacher"], kept["teacher"]) == ("asked", "kept") and asked["of_live"] == 1
    assert "teacher" in asked["parts"] and "teacher" not in kept["parts"]
    table = runpy.run_path(str(ROOT / "docs" / "figures_of_files.py"))["step_loops"](rows).splitlines()
    assert len({line.count("|") for line in table[:4]}) == 1 and "| kept |" in table[3]
