"""The last steps of a stage with convolutions in eight bits, and a student that goes on from a finished run."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kdcli.config import RunConfig, load, stage_share
from kdcli.errors import ConfigError
from kdcli.networks import rounding
from kdcli.students.begun import run as begun
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.progress import Silent
from kdcli.weights import load_tensors

Resolve = Callable[..., RunConfig]


class StopAt(Silent):
    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, log: object) -> None:
        if getattr(log, "step", 0) == self.at:
            signal.raise_signal(signal.SIGINT)


def tensors(path: Path) -> dict[str, Tensor]:
    return load_tensors(path / "student.safetensors")


@pytest.mark.parametrize(("share", "steps"), [(0.0, 0), (0.34, 2), (1.0, 6)])
def test_so_many_steps_are_rounded(tiny: Resolve, tmp_path: Path, share: float, steps: int) -> None:
    entered: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        enter = rounding.EightBits.__enter__

        def count(self: rounding.EightBits) -> object:
            entered.append(self._last)
            return enter(self)

        patch.setattr(rounding.EightBits, "__enter__", count)
        distill(tiny(f"quantised={share}"), out=tmp_path / "run")
    assert len(entered) == steps
    assert all(last > 50 for last in entered)  # MobileNetV3 and its decoder


def test_a_run_goes_on_to_the_same_last_bit(tiny: Resolve, tmp_path: Path) -> None:
    config = tiny("quantised=0.5")
    distill(config, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=StopAt(4))
    run = RunFolder(tmp_path / "split")
    distill(resumable(run.path), resume=run.path)
    one, two = tensors(tmp_path / "whole"), tensors(run.path)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    distill(tiny(), out=tmp_path / "plain")
    assert not all(torch.equal(value, one[name]) for name, value in tensors(tmp_path / "plain").items())


def test_a_student_goes_on_from_a_finished_run(tiny: Resolve, tmp_path: Path, teacher_file: Path) -> None:
    student = begun(str(teacher_file))
    wanted = load_tensors(teacher_file)
    assert all(torch.equal(value, wanted[name]) for name, value in student.state_dict().items())
    assert str(student.architecture).startswith("mobilenet,width=0.35")  # what a file of it opens by
    assert not student.begin_at


@pytest.mark.parametrize("share", ["-0.1", "1.5"])
def test_a_share_is_one(share: str) -> None:
    with pytest.raises(ConfigError, match=rf"quantised={share} of stage 's' must lie in 0\.\.1"):
        load("x", f'[[stage]]\nname = "s"\nsteps = 1\nquantised = {share}\n')


def test_the_flag_is_of_the_main_stage_alone() -> None:
    text = '[[stage]]\nname = "first"\nsteps = 1\n[[stage]]\nname = "main"\nsteps = 1\n'
    config = load("x", text, {"quantised": stage_share("qat")})
    assert [stage.quantised for stage in config.stages] == [0.0, 0.2] and stage_share(None) is None
    with pytest.raises(ConfigError, match="--stage 'int8' is none; it can be qat"):
        stage_share("int8")
