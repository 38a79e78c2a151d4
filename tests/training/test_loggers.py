"""What a run tells its loggers, and that nothing that they do touches the run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from kdcli.config import RunConfig
from kdcli.errors import ConfigError
from kdcli.records import RunRecord, StepRecord
from kdcli.training.loop.train import StepLog
from kdcli.training.run import job, loggers
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill
from kdcli.training.run.loggers import asked, build_loggers, named
from kdcli.training.run.progress import Silent
from kdcli.weights import load_state

Resolve = Callable[..., RunConfig]

TINY = """
[run]
student = "mobilenet,width=0.35"
export = "none"
[[stage]]
name = "train"
teachers = ["ground-truth"]
data = "sim:blocks,count=8"
size = "32x48"
batch_size = 4
losses = { l1 = 1.0 }
steps = 1
"""

STAGES = """
[run]
student = "mobilenet,width=0.35"
eval_data = "sim:rooms,count=4,seed=7"
export = "none"
[defaults]
teachers = ["TEACHER"]
data = "sim:blocks,count=16"
size = "32x48"
batch_size = 4
log_every = 1
[[stage]]
name = "fit"
train = "transform"
steps = 2
[[stage]]
name = "distill"
transform = "fitted"
losses = { log-l1 = 1.0 }
steps = 3
[twin]
label = "plain"
transform = "none"
"""


class Recorder:
    """A logger that remembers; ``fails`` names the call that goes wrong, and how."""

    api_version = 2

    def __init__(self, fails: str = "", how: BaseException | float | None = None) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.threads: set[threading.Thread] = set()
        self._fails, self._how = fails, how
        self.where = "over there"

    def _call(self, name: str, *given: Any) -> None:
        self.threads.add(threading.current_thread())
        self.calls.append((name, given))
        if name == self._fails:
            if isinstance(self._how, BaseException):
                raise self._how
            time.sleep(self._how or 0)

    def begin(self, run: RunRecord) -> None:
        run.kept["id"] = run.kept.get("id", "") + "x"
        self._call("begin", run)

    def step(self, step: StepRecord) -> None:
        self._call("step", step)

    def results(self, what: str, numbers: Mapping[str, Mapping[str, float]]) -> None:
        self._call("results", what, numbers)

    def picture(self, name: str, path: Path) -> None:
        self._call("picture", name, path)

    def end(self, state: str, message: str) -> None:
        self._call("end", state, message)

    def steps(self) -> list[StepRecord]:
        return [given[0] for name, given in self.calls if name == "step"]


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def told_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that lets runs tell these loggers."""

    def use(*made: Recorder) -> None:
        named = {f"recorder{i}": one for i, one in enumerate(made, start=1)}
        monkeypatch.setattr(job, "build_loggers", lambda config, **_: named)

    return use


def test_a_run_and_its_twin_are_told_whole(
    tiny: Resolve, tmp_path: Path, teacher_file: Path, told_to: Callable[..., None]
) -> None:
    recorder, notes = Recorder(), Notes()
    told_to(recorder)
    config = tiny(text=STAGES.replace("TEACHER", f"run:{teacher_file.parent}"))
    distill(config, out=tmp_path / "run", progress=notes)
    names = [name for name, _ in recorder.calls]
    assert names[0] == "begin" and names[-1] == "end" and names.count("end") == 1
    begun = recorder.calls[0][1][0]
    assert (begun.name, begun.group, begun.resumed) == ("run", None, False)
    assert begun.steps == {"student": 5, "twin": 3} and begun.config["stages"][1]["name"] == "distill"
    assert begun.facts["state"] == "running"
    found = [(s.variant, s.stage, s.step, s.global_step, s.total) for s in recorder.steps() if s.stage == "distill"]
    assert found == [("student", "distill", i, 2 + i, 3) for i in (1, 2, 3)] + [
        ("twin", "distill", i, i, 3) for i in (1, 2, 3)
    ]
    fitted = [s for s in recorder.steps() if s.stage == "fit"]
    assert fitted and all(s.loss > 0 and s.total == 2 for s in fitted)
    for row, step in zip(RunFolder(tmp_path / "run").metrics(), recorder.steps()[len(fitted):], strict=True):
        for name, value in step.numbers().items():
            assert row[name] == pytest.approx(value, rel=1e-3, abs=0.01)
    results = {given[0]: given[1] for name, given in recorder.calls if name == "results"}
    assert results["eval"].keys() == {"student", "twin", "teacher"} and 0 <= results["eval"]["twin"]["delta1"] <= 1
    pictures = {given[0] for name, given in recorder.calls if name == "picture"}
    assert {"picture", "images", "transform-images"} <= pictures
    assert recorder.calls[-1][1] == ("finished", "")
    assert len(recorder.threads) == 1 and threading.main_thread() not in recorder.threads
    assert "logger 'recorder1': over there" in notes.lines


class Breaks(Silent):
    def step(self, log: StepLog) -> None:
        if log.step == 6:
            raise RuntimeError("power\ncut")


def test_a_run_that_goes_on_says_what_was_told_before(
    tiny: Resolve, tmp_path: Path, told_to: Callable[..., None]
) -> None:
    first, second = Recorder(), Recorder()
    told_to(first)
    with pytest.raises(RuntimeError):
        distill(tiny("checkpoint_every=4"), out=tmp_path / "run", progress=Breaks())
    assert first.calls[-1] == ("end", ("failed", "power cut"))
    manifest = RunFolder(tmp_path / "run").manifest()
    assert manifest["state"] == "failed" and manifest["error"] == "power cut"
    told_to(second)
    distill(tiny(), resume=tmp_path / "run")
    begun = second.calls[0][1][0]
    assert begun.resumed and begun.kept == {"id": "xx"}
    assert [(s.step, s.repeated) for s in second.steps()] == [(5, True), (6, False)]
    manifest = RunFolder(tmp_path / "run").manifest()
    assert manifest["state"] == "finished" and "error" not in manifest


@pytest.mark.parametrize(("call", "how"), [
    ("begin", ConnectionError("no server")), ("step", OSError(28, "No space left on device")),
    ("step", SystemExit(0)), ("step", KeyboardInterrupt()), ("end", ValueError("no end")),
])
def test_whatever_a_logger_raises_costs_itself_alone(
    tiny: Resolve, tmp_path: Path, told_to: Callable[..., None], call: str, how: BaseException
) -> None:
    bad, good, notes = Recorder(call, how), Recorder(), Notes()
    told_to(bad, good)
    distill(tiny(), out=tmp_path / "run", progress=notes)
    told_to()
    distill(tiny(), out=tmp_path / "alone")
    lines = [text for text in notes.lines if "is left out from here on" in text]
    assert len(lines) == 1 and lines[0].startswith(f"logger 'recorder1' is left out from here on: {type(how).__name__}")
    assert bad.calls[-1][0] == call and [name for name, _ in good.calls].count("step") == 6
    assert good.calls[-1] == ("end", ("finished", ""))
    one, two = (load_state(tmp_path / name / "student.safetensors") for name in ("run", "alone"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_nobody_waits_for_one_that_hangs(
    tiny: Resolve, tmp_path: Path, told_to: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "END", 0.2)
    hanging, good, notes = Recorder("step", 20.0), Recorder(), Notes()
    told_to(hanging, good)
    distill(tiny(), out=tmp_path / "run", progress=notes)
    assert any("it did not come to its end within 0.2 s" in text for text in notes.lines)
    assert [name for name, _ in hanging.calls] == ["begin", "step"] and good.calls[-1][0] == "end"
    assert RunFolder(tmp_path / "run").manifest()["state"] == "finished"


def test_one_that_cannot_be_made_is_refused_before_a_run_and_left_out_of_one_that_goes_on(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    config = replace(tiny(), loggers=("wandb",))
    with pytest.raises(ConfigError, match="needs the package wandb"):
        distill(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    notes = Notes()
    assert build_loggers(config, resumed=True, note=notes.note) == {}
    assert notes.lines[0].startswith("logger 'wandb' is left out: logger 'wandb' needs the package wandb")


def test_a_recipe_that_names_loggers_is_said_to(tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "build_loggers", lambda config, **_: {})
    notes = Notes()
    distill(tiny(text=TINY.replace("[run]", '[run]\nloggers = ["mlflow,uri=http://there"]')), out=tmp_path / "a",
            progress=notes)
    distill(tiny("loggers=wandb"), out=tmp_path / "b", progress=notes)
    lines = [text for text in notes.lines if "--logger none" in text]
    assert lines == ["recipe 'tiny' has this run told to mlflow,uri=http://there; --logger none: to nobody"]


def test_a_run_that_goes_on_may_be_told_to_others(tiny: Resolve, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        distill(tiny('loggers="none"'), out=tmp_path / "run", progress=Breaks())
    distill(tiny(), resume=tmp_path / "run", loggers=())
    assert RunFolder(tmp_path / "run").config().loggers == ()


def test_only_the_first_process_tells(tiny: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    config = replace(tiny(), loggers=("no-such-logger",))
    assert build_loggers(config, resumed=False, note=print) == {}


def test_auto_is_tensorboard_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers.registry, "names", lambda kind: ["tensorboard", "wandb"])
    monkeypatch.setattr(loggers, "find_spec", lambda name: object())
    assert asked(("auto", "wandb,project=x")) == ["tensorboard", "wandb,project=x"]
    assert asked(("auto", "tensorboard")) == ["tensorboard"]
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert asked(("auto", "wandb")) == ["wandb"] and asked(()) == []


def test_runs_of_a_study_are_named_by_their_cell(tmp_path: Path) -> None:
    folder = tmp_path / "grid" / "cells" / "plain" / "n50" / "seed0"
    folder.mkdir(parents=True)
    assert named(folder) == ("seed0", None)
    (tmp_path / "grid" / "study.json").write_text("{}")
    assert named(folder) == ("plain/n50/seed0", "grid")
