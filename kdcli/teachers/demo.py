"""The bundled teacher: a small network trained by kdcli itself on the simulated rooms.

``kdcli distill --recipe demo-teacher --out RUN`` trains it and ``python -m kdcli.teachers.demo RUN`` puts it here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

import torch

from kdcli.protocols import API_VERSION
from kdcli.students.files import find_student, load_student, save_student
from kdcli.teachers.run import StudentAsTeacher
from kdcli.types import MadeFor

WEIGHTS = Path(__file__).with_name("demo.safetensors")
MADE_FOR = MadeFor(
    train_size=(64, 96), eval_size=(64, 96), domain="indoor", near=0.1, far=10.0, transfer="sim:blocks,count=3000",
    test="sim:rooms,count=384,seed=1000",
)


class DemoTeacher(StudentAsTeacher):
    """Knows rooms as ``sim:rooms`` draws them; metric depth, 0.1 to 10 m."""

    api_version: ClassVar[int] = API_VERSION

    def __init__(self) -> None:
        super().__init__(WEIGHTS, name="demo")
        self.made_for = MADE_FOR


def pack(run: Path, path: Path = WEIGHTS) -> None:
    """Write a finished run's student as the bundled teacher, weights in half precision, statistics in full.

    Raises:
        WeightsError: the run has no student.
    """
    student, card = load_student(find_student(run))
    state = {
        name: value.half() if value.is_floating_point() and "running_" not in name else value
        for name, value in student.state_dict().items()
    }
    card |= {"licence": "Apache-2.0", "training_data": "sim:rooms (simulated by kdcli)"}
    save_student(path, student, str(card["student"]), card, state)


if __name__ == "__main__":
    with torch.inference_mode():
        pack(Path(sys.argv[1]))
