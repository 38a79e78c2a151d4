"""``benchmarks/cuda.py`` in its small form, so that it works where somebody has a GPU for some minutes."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    main = runpy.run_path(str(FOLDER / "cuda.py"))["main"]
    out = tmp_path / "cuda.json"
    assert main(["--tiny", "--device", "cpu", "--rounds", "2", "--out", str(out), *more]) == 0, out.read_text()
    found: dict[str, Any] = json.loads(out.read_text())
    assert found["failed"] == {}
    return found


def test_every_measurement_gives_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(tmp_path, monkeypatch, "--skip", "tests", "default", "compiled")
    step = found["steps"][0]
    assert step["times_the_plain_loop"] == pytest.approx(1 / step["ratios"]["plain eager loop"]["median"])
    assert 0 < step["waiting"] < 1 and step["peak_memory_mib"] > 0
    assert found["orders"][0]["contiguous"] > 0 and "graphs" not in found
    assert {row["world"] for row in found["simulator"]} == {"blocks", "rooms", "interiors", "streets"}
    assert all(row["images_per_second"] > 0 for row in found["simulator"])
    assert found["mixer"]["ratio"] > 0 and {row["way"] for row in found["loss"]} == {"lean", "direct", "released"}


@pytest.mark.slow
def test_all_of_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(tmp_path, monkeypatch)
    assert "skipped" in found["tests"]["told"] or "passed" in found["tests"]["told"]
    assert found["default"]["steps"] == 2
    assert "compile=default" in found["compiled"][0]["setting"]


def test_a_part_that_fails_is_written_down_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    made = runpy.run_path(str(FOLDER / "cuda.py"))
    out = tmp_path / "cuda.json"

    def failing(*_: object) -> None:
        raise ValueError("no such kernel")

    made["PARTS"] |= {"mixer": failing, "loss": lambda *_: ["measured"]}
    skipped = ["tests", "default", "steps", "simulator"]
    assert made["main"](["--tiny", "--device", "cpu", "--rounds", "1", "--out", str(out), "--skip", *skipped]) == 1
    found = json.loads(out.read_text())
    assert found["failed"] == {"mixer": "ValueError: no such kernel"} and found["loss"] == ["measured"]
