"""A study that runs in seconds: two arms, untrained teacher, images of 32 x 64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from study_text import TINY, Told

from kdcli.students.files import save_student
from kdcli.study import Study, plan
from kdcli.study.run import run_study


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The spec of an untrained network, which is all that mechanics need."""
    from kdcli.plugins import registry
    from kdcli.training.seeds import seeded

    with seeded(3):
        student = registry.build("student", "mobilenet,width=0.35")
    path = tmp_path_factory.mktemp("teacher") / "student.safetensors"
    save_student(path, student, "mobilenet,width=0.35", {"licence": "Apache-2.0", "training_data": "nothing"})
    return f"run:{path}"


@pytest.fixture
def tiny(teacher: str) -> Callable[..., Study]:
    """A function that resolves the tiny study, with texts in it replaced."""

    def resolve(*replaced: tuple[str, str], text: str = TINY, **options: Any) -> Study:
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        options.setdefault("settings", [f"teacher={teacher}"])
        return plan(text, source=Path("tiny.toml"), **options)

    return resolve


@pytest.fixture(scope="session")
def finished(teacher: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    out, told = tmp_path_factory.mktemp("study") / "out", Told()
    study = plan(TINY, source="tiny.toml", settings=[f"teacher={teacher}"])
    outcome = run_study(study, out, progress=told)
    assert (outcome.ran, outcome.kept, outcome.failed) == (4, 0, ())
    return out, told
