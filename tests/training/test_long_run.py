"""A run of many steps holds no more at its end than near its beginning; ``benchmarks/long_run.py`` does ten times as
many."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

BENCHMARK = runpy.run_path(str(Path(__file__).resolve().parents[2] / "benchmarks" / "long_run.py"))
STEPS, MOST_MIB = 500, 12.0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks /proc what the process holds")
def test_memory_threads_and_files_stay_flat(tmp_path: Path) -> None:
    rows = BENCHMARK["watched"](STEPS, tmp_path / "run")
    assert [row.step for row in rows] == list(range(50, STEPS + 1, 50))
    more = BENCHMARK["grown"](rows)
    assert (more.threads, more.files) == (0, 0), rows
    assert more.mib < MOST_MIB, rows


def test_what_grows_is_seen() -> None:
    held = BENCHMARK["Held"]
    rows = [held(step, 100.0 + step, 4, 9 + step) for step in (1, 2, 3, 4)]
    assert BENCHMARK["grown"](rows) == held(1, 1.0, 0, 1)
