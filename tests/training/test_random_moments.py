"""A signal, or a kill, at a random moment of a run; ``benchmarks/signals.py`` does a hundred of them."""

from __future__ import annotations

import random
import runpy
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARK = runpy.run_path(str(Path(__file__).resolve().parents[2] / "benchmarks" / "signals.py"))
PATIENCE = 60.0
"""Seconds to end in: other tests run beside."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="asks /proc which processes are left")


@pytest.fixture
def near() -> Iterator[Path]:
    """A folder with a short name: below it lie sockets of processes that decode, whose names have 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="k") as folder:
        yield Path(folder)


@pytest.mark.slow(share=0.5)
@pytest.mark.parametrize("name", BENCHMARK["SIGNALS"])
def test_a_signal_at_any_moment(near: Path, name: str) -> None:
    folder = BENCHMARK["prepared"](near / "work", steps=200)
    delay = random.Random(f"{name} {time.time_ns()}").uniform(0, 12)
    assert BENCHMARK["signalled"](folder, "run", name, delay, PATIENCE) == [], f"{name} after {delay:.3f} s"


def test_a_schedulers_warning_saves_and_leaves_nothing(near: Path) -> None:
    """In the middle of the steps, with a process that decodes: the step under way is the last."""
    folder = BENCHMARK["prepared"](near / "work", steps=100_000)
    process = BENCHMARK["begin"](folder, "run")
    logged, end = folder / "run" / "metrics.jsonl", time.monotonic() + 120
    while not (logged.is_file() and logged.stat().st_size) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGUSR1)
    _, told = process.communicate(timeout=PATIENCE)
    assert (process.returncode, told) == (130, "kdcli: interrupted\n")
    kept = BENCHMARK["checkpoint"].read(folder / "run" / "checkpoints" / "state.pt")["step"]
    assert kept == len(logged.read_text().splitlines())
    assert BENCHMARK["left"](folder, process.pid, 5.0) == []


@pytest.mark.slow(share=0.5)
def test_a_kill_at_any_moment_costs_no_bit(near: Path) -> None:
    folder = BENCHMARK["prepared"](near / "work", steps=30)
    whole, took = BENCHMARK["undisturbed"](folder, "whole")
    delay = random.Random(time.time_ns()).uniform(0, took)
    assert BENCHMARK["killed"](folder, "run", [delay], whole) == [], f"killed after {delay:.3f} s"
