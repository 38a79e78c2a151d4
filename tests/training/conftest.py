"""A tiny recipe that trains in a second or two, and what a run needs around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdcli.config import RunConfig, load
from kdcli.students.files import save_student

TINY = """
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
steps = 6
lr = 1e-3
ema = 0.9
checkpoint_every = 2
log_every = 1
"""


@pytest.fixture
def tiny() -> Callable[..., RunConfig]:
    """A function that resolves the tiny recipe with flags and settings."""

    def resolve(*settings: str, text: str = TINY, **flags: Any) -> RunConfig:
        return load("tiny", text, flags, settings)

    return resolve


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch-norm network as a teacher's file; untrained, which is all that mechanics need."""
    from kdcli.plugins import registry
    from kdcli.training.seeds import seeded

    with seeded(3):
        student = registry.build("student", "mobilenet,width=0.35")
    path = tmp_path_factory.mktemp("teacher") / "student.safetensors"
    save_student(path, student, "mobilenet,width=0.35", {"licence": "Apache-2.0", "training_data": "nothing"})
    return path
