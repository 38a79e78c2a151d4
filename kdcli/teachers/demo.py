"""The bundled teacher: a small network trained by kdcli itself on the simulated rooms."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from kdcli.protocols import API_VERSION
from kdcli.teachers.run import StudentAsTeacher

WEIGHTS = Path(__file__).with_name("demo.safetensors")


class DemoTeacher(StudentAsTeacher):
    """Knows rooms as ``sim:rooms`` draws them. Trained by ``kdcli distill --recipe demo-teacher``."""

    api_version: ClassVar[int] = API_VERSION

    def __init__(self) -> None:
        super().__init__(WEIGHTS, name="demo")
