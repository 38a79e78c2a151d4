"""``benchmarks/recipe_steps.py`` on small networks."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_two_recipes_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "steps.json"
    monkeypatch.setattr(
        sys, "argv", ["recipe_steps.py", "--tiny", "--steps", "10", "--set", "lr=0.001", "--out", str(out)]
    )
    runpy.run_path(str(ROOT / "benchmarks" / "recipe_steps.py"), run_name="__main__")
    told = json.loads(out.read_text())["recipe_steps"]
    assert told["recipes"] == ["data-free", "data-free-plus"] and len(told["tenths"]) == told["steps"] == 10
    first, second = (told["ms"][name] for name in told["recipes"])
    assert first > 0 and told["ratio"] == pytest.approx(second / first)
    assert f"data-free-plus / data-free: {told['ratio']:.3f}" in capsys.readouterr().out
