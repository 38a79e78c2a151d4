"""The fit of a transformation network, stopped or killed, goes on to the same last bit."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import kdcli
from kdcli.cli.app import app
from kdcli.config import RunConfig, StageConfig, load
from kdcli.errors import WeightsError
from kdcli.recipes import read
from kdcli.training.loop.train import stop_requests
from kdcli.training.run.listing import list_runs
from kdcli.training.run.progress import Silent
from kdcli.training.single.fit_transform import fit_transform, kept_of
from kdcli.transform import load as load_transform

STEPS = 6


@pytest.fixture(autouse=True)
def told_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["kdcli.transform.fit"], "CHECK_EVERY", 1)


def stage(**changed: object) -> StageConfig:
    settings = {"name": "fit-transform", "train": "transform", "data": "sim:blocks,count=4", "teachers": ("demo",),
                "steps": STEPS, "batch_size": 1, "size": (32, 48), "lr": 2e-3, "network_width": 4}
    return StageConfig(**{**settings, **changed})  # type: ignore[arg-type]


def learned(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    network, facts = load_transform(path)
    return network.state_dict(), {key: value for key, value in facts.items() if key != "seconds"}


def same(one: Path, two: Path) -> bool:
    (first, facts), (second, others) = learned(one), learned(two)
    return facts == others and all(torch.equal(value, second[name]) for name, value in first.items())


def killed_at(step: int, error: type[BaseException]) -> object:
    def told(what: str, done: int, total: int) -> None:
        if done == step:
            raise error

    return told


def test_a_fit_that_was_killed_goes_on_from_its_last_state(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    fit_transform(stage(), whole)
    with pytest.raises(MemoryError):
        fit_transform(stage(), cut, told=killed_at(4, MemoryError))  # type: ignore[arg-type]
    assert not cut.exists() and kept_of(cut) == tmp_path / "cut.fit.pt"
    shutil.copy(tmp_path / "cut.fit.pt", tmp_path / "state")
    heard: list[int] = []
    notes = fit_transform(stage(), cut, told=lambda what, done, total: heard.append(done))["notes"]
    assert heard[0] == 3 and "went on after step 3" in notes
    assert same(whole, cut) and kept_of(cut) is None
    # A state of another fit is none of this one.
    shutil.copy(tmp_path / "state", tmp_path / "cut.fit.pt")
    other = fit_transform(stage(lr=1e-3, steps=1), cut)
    assert not any("went on" in note for note in other["notes"]) and kept_of(cut) is None


def test_a_damaged_state_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "net.fit.pt").write_bytes(b"no archive")
    with pytest.raises(WeightsError, match="delete it"):
        fit_transform(stage(steps=1), tmp_path / "net.safetensors")


class StopInFit(Silent):
    def __init__(self, step: int = 1) -> None:
        self.step = step
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)

    def count(self, what: str, done: int, total: int) -> None:
        if what == "fitted" and done == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def run() -> RunConfig:
    flags = {"student": "mobilenet,width=0.35", "data": "sim:blocks,count=4", "steps": 1, "batch_size": 2,
             "size": (32, 48), "eval_data": "none", "export": "none"}
    return load(*read("data-free"), flags, ("fit.steps=4", "fit.network_width=4", "fit.batch_size=1"), twin=False)


def test_a_run_that_is_stopped_in_its_fit_is_kept_and_goes_on(tmp_path: Path) -> None:
    kdcli.distill(run(), out=tmp_path / "whole")
    stop = StopInFit()
    with pytest.raises(KeyboardInterrupt):
        kdcli.distill(run(), out=tmp_path / "cut", progress=stop)
    kept = "the fit of the transformation network, as far as it came"
    assert f"kept in '{tmp_path / 'cut'}': {kept}; go on with: kdcli distill --resume {tmp_path / 'cut'}" in stop.said
    assert (tmp_path / "cut" / "checkpoints" / "transform.fit.pt").is_file()
    states = {Path(row["run"]).name: (row["state"], row["resume"]) for row in list_runs(tmp_path)}
    assert states["cut"] == ("interrupted", f"kdcli distill --resume {tmp_path / 'cut'}")
    assert states["whole"] == ("finished", None)
    kdcli.distill(run(), resume=tmp_path / "cut")
    assert same(tmp_path / "whole" / "transform.safetensors", tmp_path / "cut" / "transform.safetensors")
    assert not (tmp_path / "cut" / "checkpoints").exists()
    one, two = kdcli.load_model(tmp_path / "whole"), kdcli.load_model(tmp_path / "cut")
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_request_in_the_last_step_of_a_fit_is_answered_when_it_is_written(tmp_path: Path) -> None:
    stop = StopInFit(step=4)
    with pytest.raises(KeyboardInterrupt):
        kdcli.distill(run(), out=tmp_path / "cut", progress=stop)
    assert (tmp_path / "cut" / "transform.safetensors").is_file()
    assert not (tmp_path / "cut" / "checkpoints" / "transform.fit.pt").exists()
    kdcli.distill(run(), resume=tmp_path / "cut")
    kdcli.distill(run(), out=tmp_path / "whole")
    one, two = kdcli.load_model(tmp_path / "whole"), kdcli.load_model(tmp_path / "cut")
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_request_that_nobody_reads_any_more_is_not_lost() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stop_requests() as asked:
        assert not asked.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(ValueError, match="of its own"), stop_requests():  # an error says more
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("of its own")


def test_the_command_says_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdcli.training.single import fit_transform as single

    real = single.fit_stage

    def stopped(shop: object, of: object, files: object, told: object, loss: object = None) -> object:
        return real(shop, of, files, killed_at(4, KeyboardInterrupt))  # type: ignore[arg-type]

    monkeypatch.setattr(single, "fit_stage", stopped)
    out = tmp_path / "net.safetensors"
    done = CliRunner().invoke(app, ["fit-transform", "--teacher", "demo", "--data", "sim:blocks,count=4", "--out",
                                    str(out), "--steps", str(STEPS), "--batch-size", "1", "--size", "32x48",
                                    "--width", "4", "--device", "cpu"])  # fmt: skip
    assert done.exit_code == 130
    assert f"what was done is kept in {tmp_path / 'net.fit.pt'}; the same command goes on" in done.stderr
