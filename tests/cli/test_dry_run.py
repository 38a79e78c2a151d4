"""What a dry run says a run will take: a table of its stages, the fit among them, with a total."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdcli.cli.app import app

SMALL = ("distill", "--recipe", "data-free", "--student", "mobilenet,width=0.35", "--data", "sim:blocks,count=4",
         "--batch-size", "2", "--size", "32x48", "--steps", "7", "--set", "fit.steps=5", "--set", "fit.batch_size=1",
         "--eval-data", "sim:rooms,count=2", "--device", "cpu", "--dry-run")  # fmt: skip


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    done = CliRunner().invoke(app, [*SMALL, "--json"], catch_exceptions=False)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_the_total_is_that_of_all_stages_and_the_twin_comes_on_top(told: dict[str, list[dict[str, float]]]) -> None:
    (fit,), (distill,), total = told["fits"], told["stages"], told["total"]
    assert (fit["steps"], distill["steps"], total["steps"]) == (5, 7, 12)
    assert fit["seconds"] > 0 and total["seconds"] == pytest.approx(fit["seconds"] + distill["seconds"])
    assert total["seconds_with_twin"] == pytest.approx(total["seconds"] + distill["seconds"])
    # Each step of the fit shows the teacher its image, and the one that is set aside for choosing.
    assert (fit["teacher_images"], total["teacher_images"]) == (2 * 5, 2 * 5 + 2 * 7)


@pytest.mark.parametrize("wide", [60, 80])
def test_the_table_fits(wide: int, told: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kdcli.training.run.dry_run.measure", lambda *given, **settings: told)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*SMALL], env={"COLUMNS": str(wide)}, catch_exceptions=False)
    lines = done.stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("stage  "))
    end = next(i for i, line in enumerate(lines) if line.startswith("with the twin"))
    assert max(map(len, lines[head:end])) <= wide
    assert [line.split()[0] for line in lines[head:end] if line[0] != " "] == ["stage", "fit", "distill", "total"]
    assert not list(tmp_path.iterdir())
