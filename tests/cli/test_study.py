"""``kdcli study`` as it is typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kdcli.cli.app import app
from kdcli.errors import ConfigError

STUDY = """
[study]
metrics = ["delta1", "abs_rel"]
eval_data = "sim:rooms,count=4,seed=7"
counts = [4, 8]
contrasts = [["tidy@4", "plain@8"]]
set = { teacher = "ground-truth", student = "mobilenet,width=0.35", size = "32x64", batch_size = 4, steps = "{steps}", data = "sim:blocks,count={count}" }
[variables]
steps = { about = "updates", default = 1 }
[[arm]]
name = "plain"
recipe = "plain"
[[arm]]
name = "tidy"
label = "without a <gradient> term"
recipe = "plain"
counts = [4]
set = { losses = { l1 = 1.0 } }
"""  # noqa: E501


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(STUDY)
    return tmp_path


def _run(*args: str) -> Result:
    result = CliRunner().invoke(app, ["study", *args])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def _error(*args: str) -> str:
    error = CliRunner().invoke(app, ["study", *args]).exception
    assert isinstance(error, ConfigError), error
    assert "\n" not in str(error)
    return str(error)


def test_a_study_and_its_reports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = json.loads(_run("mine.toml", "--dry-run", "--json").stdout)
    assert [row["cell"] for row in plan["cells"]] == ["plain@4 seed 0", "plain@8 seed 0", "tidy@4 seed 0"]
    assert all(row["state"] == "new" and row["seconds"] > 0 for row in plan["cells"])
    assert plan["out"] == "studies/mine" and [path.name for path in folder.iterdir()] == ["mine.toml"]
    assert "3 runs, about 0 s" in _run("mine.toml", "--dry-run").stdout

    one = _run("mine.toml", "--only", "tidy", "--json")
    told = json.loads(one.stdout)
    assert (told["ran"], told["kept"]) == (1, 0) and [row["arm"] for row in told["rows"]] == ["tidy"]
    assert told["rows"][0]["against"] is None and told["missing"] == ["plain@4 seed 0", "plain@8 seed 0"]
    assert "[1/1] tidy@4 seed 0" in one.stderr
    # Without matplotlib there is everything but the plots, and that is said.
    monkeypatch.setattr("kdcli.study.report.available", lambda: False)
    _run("mine.toml", "--quiet")
    assert not list(folder.rglob("plot-*")) and "pip install" in (folder / "studies/mine/report.html").read_text()
    monkeypatch.undo()
    monkeypatch.chdir(folder)

    whole = _run("mine.toml")
    assert "ran 0, kept 3" in whole.stdout and "tidy@4" in whole.stdout and "reference" in whole.stdout
    out = folder / "studies" / "mine"
    report = json.loads((out / "report.json").read_text())
    assert {row["arm"]: row["count"] for row in report["rows"]} == {"plain": 8, "tidy": 4}
    assert [(c["first"], c["second"], c["images"]) for c in report["contrasts"]] == [("tidy@4", "plain@8", 4)]
    assert report["missing"] == [] and report["variables"] == {"steps": 1} and report["versions"]["kdcli"]
    markdown = (out / "report.md").read_text()
    row = next(row for row in report["rows"] if row["arm"] == "tidy")
    value = row["metrics"]["abs_rel"]
    assert f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" in markdown
    assert "interval is over images alone" in markdown and "- `tidy`: without a <gradient> term" in markdown
    html = (out / "report.html").read_text()
    lead = html[html.index('class="lead"') : html.index("<table>")]
    assert (" plain" in lead and "abs_rel, paired, 95 % interval" in lead) or "delta1, paired, 95 % interval" in lead
    assert "without a &lt;gradient&gt; term" in html and "<gradient>" not in html
    if "matplotlib" in sys.modules:
        assert html.count("data:image/png") == 2 and (out / "plot-delta1.png").stat().st_size > 1000
    assert (out / "study.toml").read_text() == STUDY


def test_refusals(folder: Path) -> None:
    own = ("backbones-mini, data-free-mini, data-free-nyu, data-free-photos, data-free-plus-mini, "
           "hard-mini, pruning-mini, statistics-mini")
    assert f"Studies: {own}" in _error("data-fre-mini")
    assert "needs a value for nyu" in _error("data-free-nyu")
    assert "no variable 'stepz'" in _error("mine.toml", "--set", "stepz=1")
    assert "--seeds 'a'" in _error("mine.toml", "--seeds", "a")
    assert "no arm 'tity'. Did you mean 'tidy'?" in _error("mine.toml", "--only", "tity")
    assert "cannot be read" in _error("nowhere.toml")
    assert not (folder / "studies").exists()
