"""The last few checkpoints: which stay, when the oldest goes, and going on from an earlier one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kdcli.config import RunConfig, load
from kdcli.errors import ConfigError, TrainingError, WeightsError
from kdcli.training.loop import checkpoint, kept
from kdcli.training.loop.train import StepLog
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.progress import Silent
from kdcli.weights import load_state

Resolve = Callable[..., RunConfig]


class StopAt(Silent):
    """Ends a run without a word at a step, as a kill does."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, log: StepLog) -> None:
        if log.step == self._step:
            raise KeyboardInterrupt


def stopped(config: RunConfig, folder: Path, step: int) -> Path:
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=folder, progress=StopAt(step), loggers=())
    return folder / "checkpoints"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow(share=1)
def test_the_last_ones_stay_and_each_can_be_gone_on_from(tiny: Resolve, tmp_path: Path) -> None:
    config = tiny("steps=9", "keep_checkpoints=3", "eval_data=none")
    distill(config, out=tmp_path / "whole", loggers=())
    folder = stopped(config, tmp_path / "run", 9)
    assert names(folder) == [f"at-00000000{step}.student.train.pt" for step in (4, 6, 8)] + ["state.pt"]
    (folder / "state.pt").unlink()
    for path in (folder / "at-000000008.student.train.pt", folder / "at-000000006.student.train.pt"):
        path.unlink()
    stopped_again = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        distill(resumable(tmp_path / "run"), resume=tmp_path / "run", progress=StopAt(7), loggers=())
    assert names(folder) == ["at-000000004.student.train.pt", "at-000000006.student.train.pt", "state.pt"]
    distill(resumable(tmp_path / "run"), resume=tmp_path / "run", loggers=())
    assert [row["step"] for row in stopped_again.metrics()] == list(range(1, 10))
    assert not folder.exists()  # a finished run has no use for them
    one, other = (load_state(tmp_path / name / "student.safetensors") for name in ("whole", "run"))
    assert one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_one_is_kept_where_nobody_asks_for_more(tiny: Resolve, tmp_path: Path) -> None:
    assert names(stopped(tiny(), tmp_path / "run", 5)) == ["state.pt"]


@pytest.mark.parametrize("steps", [4, 5])
def test_a_request_between_the_last_step_and_the_file_loses_no_step(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    def asked(*given: object) -> None:
        raise KeyboardInterrupt

    config = tiny(f"steps={steps}", "eval_data=none")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoint, "student_state", asked)
        distill(config, out=tmp_path / "run", loggers=())
    assert (kept.newest(tmp_path / "run" / "checkpoints" / "state.pt", "student") or {})["step"] == steps
    distill(resumable(tmp_path / "run"), resume=tmp_path / "run", loggers=())
    distill(config, out=tmp_path / "whole", loggers=())
    one, other = (load_state(tmp_path / name / "student.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_damaged_one_leaves_the_one_before(tiny: Resolve, tmp_path: Path) -> None:
    folder = stopped(tiny("steps=9", "keep_checkpoints=2"), tmp_path / "run", 7)
    for path in (folder / "state.pt", folder / "at-000000006.student.train.pt"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[:-99])
    with pytest.raises(WeightsError, match=r"state\.pt' is broken .*; delete it to go on after step 6$"):
        distill(resumable(tmp_path / "run"), resume=tmp_path / "run", loggers=())
    (folder / "state.pt").unlink()
    with pytest.raises(WeightsError, match=r"at-000000006.* delete it to go on after step 4$"):
        distill(resumable(tmp_path / "run"), resume=tmp_path / "run", loggers=())
    (folder / "at-000000006.student.train.pt").unlink()
    (folder / "at-000000004.student.train.pt").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"at-000000004.* delete it to start that stage anew$"):
        distill(resumable(tmp_path / "run"), resume=tmp_path / "run", loggers=())


def written(folder: Path, step: int, variant: str = "student", stage: str = "a.b", most: int = 2) -> None:
    checkpoint.write(folder / "state.pt", {
        "variant": variant, "stage": stage, "step": step, "student": {}, "plugins": {}, "plugin_states": {},
        "inner": {}, "optimizer": {"state": {}, "param_groups": []}, "average": None,
    })
    kept.keep(folder / "state.pt", variant=variant, stage=stage, step=step, most=most)


def test_another_stage_and_a_past_that_is_no_more_go(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        written(tmp_path, step)
    (tmp_path / "at-mine.pt").touch()
    written(tmp_path, 12)  # it went back
    assert names(tmp_path) == ["at-000000010.student.a.b.pt", "at-000000012.student.a.b.pt", "at-mine.pt", "state.pt"]
    assert (kept.newest(tmp_path / "state.pt", "student") or {})["step"] == 12
    assert kept.newest(tmp_path / "state.pt", "twin") is None
    written(tmp_path, 3, "twin")
    assert names(tmp_path) == ["at-000000003.twin.a.b.pt", "at-mine.pt", "state.pt"]
    written(tmp_path, 4, "twin", most=1)
    assert names(tmp_path) == ["at-mine.pt", "state.pt"]


def test_without_links_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    written(tmp_path, 5)
    assert names(tmp_path) == ["at-000000005.student.a.b.pt", "state.pt"]
    assert not (tmp_path / "state.pt").samefile(tmp_path / "at-000000005.student.a.b.pt")
    assert checkpoint.read(tmp_path / "at-000000005.student.a.b.pt")["step"] == 5


def test_none_goes_where_the_new_one_cannot_be_written(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = checkpoint.write

    def full(path: Path, state: dict[str, object]) -> None:
        if state["step"] == 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        whole(path, state)

    monkeypatch.setattr(checkpoint, "write", full)
    with pytest.raises((OSError, TrainingError)):
        distill(tiny("steps=9", "keep_checkpoints=2"), out=tmp_path / "run", loggers=())
    there = names(tmp_path / "run" / "checkpoints")
    assert there == ["at-000000002.student.train.pt", "at-000000004.student.train.pt", "state.pt"]


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "1000000000"])
def test_the_number_is_checked(tiny: Resolve, number: str) -> None:
    with pytest.raises(ConfigError, match="keep_checkpoints"):
        tiny(f"keep_checkpoints={number}")
    assert load("again", "[[stage]]\nsteps = 1\nkeep_checkpoints = 4\n").main.keep_checkpoints == 4
