"""A stage with a loss on inner features: the student learns them, the file has nothing of the loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kdcli.config import RunConfig
from kdcli.errors import ConfigError
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill
from kdcli.weights import load_state


@pytest.fixture
def stage(tiny: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    def made(taps: str, *more: str) -> RunConfig:
        return tiny("teachers=['demo']", f"losses={{ log-l1 = 1.0, 'features,taps={taps},as=seen' = 0.5 }}", *more)

    return made


def test_a_student_learns_them_and_is_saved_without(stage: Callable[..., RunConfig], tmp_path: Path) -> None:
    distill(stage("enc@8|enc@16", "steps=60", "lr=1e-2", "eval_data=none"), out=tmp_path / "run", loggers=())
    values = [row["term/seen"] for row in RunFolder(tmp_path / "run").metrics()]
    assert sum(values[-10:]) < 0.7 * sum(values[:10])
    assert not [name for name in load_state(tmp_path / "run" / "student.safetensors") if "carried" in name]


def test_a_stride_that_a_network_does_not_have_is_refused_with_those_that_it_has(
    stage: Callable[..., RunConfig], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        distill(stage("enc@64"), out=tmp_path / "run", loggers=())
    assert "has no tap 'enc@64'" in str(error.value) and "enc@16, enc@32" in str(error.value)
    assert not (tmp_path / "run").exists()
