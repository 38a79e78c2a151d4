"""``kdcli distill``, ``recipes`` and ``runs`` as they are typed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from kdcli.cli.app import app
from kdcli.errors import KdcliError

RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "sim:rooms,count=4,seed=7"
export = "none"
[[stage]]
name = "train"
teachers = ["ground-truth"]
data = "sim:blocks,count=24"
size = "32x48"
batch_size = 4
losses = { l1 = 1.0 }
steps = 4
lr = 1e-3
checkpoint_every = 2
log_every = 1
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return "tiny.toml"


def _run(*args: str, fails: type[KdcliError] | None = None) -> Result:
    result = CliRunner().invoke(app, list(args))
    if fails is None:
        assert result.exit_code == 0, (result.output, result.exception)
    return result


def _json(*args: str) -> Any:
    return json.loads(_run(*args, "--json").stdout)


def _error(*args: str) -> KdcliError:
    error = CliRunner().invoke(app, list(args)).exception
    assert isinstance(error, KdcliError), error
    return error


def test_a_run_and_what_is_said_of_it(recipe: str, tmp_path: Path) -> None:
    told = _json("distill", "--recipe", recipe, "--out", "one")
    assert told["run"] == "one" and told["steps"] == 4 and told["seconds"] > 0
    assert (tmp_path / told["student"]).is_file()
    assert set(told["eval"]) == {"student"}  # its teacher is what it is measured against
    assert re.fullmatch(r"[0-9a-f]{16}", told["eval"]["student"]["protocol"]["hash"])
    two = _run("distill", "--recipe", recipe, "--out", "two", "--steps", "2", "--seed", "1", "--quiet")
    assert "student" in two.stdout and "sim:rooms,count=4,seed=7" in two.stdout and two.stderr == ""

    rows = {Path(row["run"]).name: row for row in _json("runs", "list", "--folder", ".")}
    assert {name: row["state"] for name, row in rows.items()} == {"one": "finished", "two": "finished"}
    assert "tiny.toml" in _run("runs", "list", "--folder", ".").stdout
    shown = _json("runs", "show", "one")
    assert shown["state"] == "finished" and "sim:blocks,count=24" in shown["config"]
    compared = _json("runs", "compare", "one", "two")
    assert [row["run"] for row in compared] == ["one", "two"]
    assert "on 4 images" in compared[1]["delta1_against_first"]

    assert "is finished" in str(_error("distill", "--resume", "one"))
    assert "--steps cannot be given" in str(_error("distill", "--resume", "one", "--steps", "9"))
    assert "already holds a run" in str(_error("distill", "--recipe", recipe, "--out", "one"))
    # What a run wrote down is itself a recipe.
    again = _json("distill", "--recipe", "one/config.toml", "--out", "again")
    assert again["eval"]["student"]["metrics"] == told["eval"]["student"]["metrics"]


def test_flags_and_settings_are_what_a_dry_run_shows(recipe: str, tmp_path: Path) -> None:
    args = ["--steps", "3", "--batch-size", "2", "--loss", "log-l1=0.5", "--set", "train.lr=0.01", "--dry-run"]
    told = _json("distill", "--recipe", recipe, *args)
    assert told["stages"][0]["steps"] == 3 and list(told["terms"]) == ["log-l1"]
    shown = _run("distill", "--recipe", recipe, *args).stdout
    assert re.search(r"lr = 0.01 +# --set", shown) and re.search(r"batch_size = 2 +# flag", shown)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_an_interrupted_run_goes_on(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdcli.training.run.folder import RunFolder

    logged = RunFolder.log_step

    def stop_at_two(self: RunFolder, log: Any) -> None:
        logged(self, log)
        if log.step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "log_step", stop_at_two)
        stopped = CliRunner().invoke(app, ["distill", "--recipe", recipe, "--out", "run"])
    assert stopped.exit_code == 130
    assert "go on with: kdcli distill --resume run" in stopped.stderr
    assert _json("runs", "show", "run")["state"] == "interrupted"
    told = _run("distill", "--resume", "run", "--json")
    assert json.loads(told.stdout)["steps"] == 4 and "going on after step 2" in told.stderr
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("flags", "code", "word"),
    [
        (["--protocol", "nonsense"], 1, "nonsense"),
        (["--align", "nonsense"], 1, "nonsense"),
        (["--eval-data", "folder:photos"], 4, "no ground truth"),
        (["--data", "folder:photos"], 1, "needs depth"),
        (["--data", "rgbd:blank,scale=1000"], 4, "blank"),
        (["--set", "export=onyx"], 3, "onnx"),
        (["--student", "mobilenet,widht=2"], 1, "width"),
        (["--mixer", "object", "--data", "folder:photos", "--teacher", "demo"], 1, "instance maps"),
        (["--transform", "nowhere.safetensors"], 4, "nowhere"),
    ],
)
def test_what_would_fail_later_is_refused_at_once(
    recipe: str, tmp_path: Path, flags: list[str], code: int, word: str
) -> None:
    for folder in ("photos", "blank/rgb", "blank/depth"):
        (tmp_path / folder).mkdir(parents=True)
    Image.fromarray(np.full((48, 64, 3), 99, np.uint8)).save(tmp_path / "photos" / "a.png")
    Image.fromarray(np.full((48, 64, 3), 99, np.uint8)).save(tmp_path / "blank" / "rgb" / "0.png")
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(tmp_path / "blank" / "depth" / "0.png")
    error = _error("distill", "--recipe", recipe, "--out", "run", *flags)
    assert error.exit_code == code and word in str(error) and "\n" not in str(error)
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_says_so(recipe: str, tmp_path: Path) -> None:
    error = _error("distill", "--recipe", recipe, "--out", "run", "--lr", "1e30")
    assert "not a number at step 2 in l1; images: " in str(error)
    shown = _json("runs", "show", "run")
    assert shown["state"] == "failed" and "not a number" in shown["error"]
    assert not list((tmp_path / "run").rglob("*.safetensors"))


def test_recipes(recipe: str, tmp_path: Path) -> None:
    names = [row["name"] for row in _json("recipes", "list")]
    assert {"data-free", "plain", "supervised"} <= set(names)
    assert "[[stage]]" in _run("recipes", "show", "plain").stdout
    told = _json("recipes", "copy", "plain", "--out", "mine.toml")
    assert told["file"] == "mine.toml"
    assert (tmp_path / "mine.toml").read_text() == _json("recipes", "show", "plain")["text"]
    assert "exists" in str(_error("recipes", "copy", "plain", "--out", "mine.toml"))
