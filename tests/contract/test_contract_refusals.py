"""What a recipe says of stages, teachers and losses that cannot be: one line, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdcli.config import load
from kdcli.errors import ConfigError, KdcliError
from kdcli.training.run.job import distill

TWO = """
[run]
student = "tiny,width=4"
eval_data = "none"
export = "none"
[defaults]
data = "sim:blocks,count=8"
size = "32x48"
batch_size = 4
steps = 1
teachers = ["tiny-teacher"]
[[stage]]
name = "first"
FIRST
[[stage]]
name = "second"
SECOND
"""
ALIGN = 'losses = { "align,phase=teachers,as=align,channels=3" = 1 }\nfreeze = ["student"]'
NAMED = """
teachers = { aux = "stage:first", big = "tiny-teacher" }
losses = { "l1,teacher=big" = 1, "l1,teacher=aux,as=a" = 1 }
"""


def run(out: Path, first: str, second: str, **flags: Any) -> None:
    """Resolve and run it."""
    distill(load("two", TWO.replace("FIRST", first).replace("SECOND", second), flags), out=out)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("", 'teachers = ["stage:frist"]', "'stage:frist' of stage 'second' is no earlier stage .* mean 'first'"),
        ('teachers = ["stage:second"]', "", "'stage:second' of stage 'first' is no earlier .* Earlier ones: none"),
        ('teachers = ["stage:first"]', "", "'stage:first' of stage 'first' is no earlier stage"),
        ("", 'student = "stage:nope"', "student 'stage:nope' of stage 'second' is no earlier stage"),
        ("", 'student = "tiny"', "'second', has student=tiny: it must train the run's own"),
        ('student = "tiny"', 'student = "stage:first"', "has student=stage:first: it must train the run's own"),
        ('student = "tiny,widht=3"', "", "no key 'widht'. Did you mean 'width'"),
        ("", 'freeze = ["student.encc1"]', "freeze 'student.encc1' of stage 'second' .* mean 'student.enc1'"),
        ("", 'freeze = ["algin"]', "freeze 'algin' of stage 'second' is no part of the student and no loss"),
        ("", 'freeze = ["log-l1"]', "freeze 'log-l1' of stage 'second' is no part"),
        ("", 'freeze = ["student"]', "freeze of stage 'second' leaves nothing that learns"),
        ("", 'losses = { "l1,as=a" = 1, "log-l1,as=a" = 1 }', "two losses called 'a'; tell them apart by as=NAME"),
        ("", 'losses = { "l1,as=log-l1" = 1, log-l1 = 1 }', "two losses called 'log-l1'"),
        ("", 'losses = { "l1,as=a b" = 1 }', "as=a b .* is no name"),
        ("", 'task_loss = "l1"\nlosses = { "zoo,as=task" = 1 }', "cannot be called 'task'"),
        ("", 'losses = { "align,as=student" = 1 }', "cannot be called 'student'"),
        ("", 'losses = { "align,as=mixer0" = 1 }', "cannot be called 'mixer0'"),
        ("", 'losses = { "align,as=plain.one" = 1 }', "cannot be called 'plain.one'"),
        ("", 'losses = { "l1,teacher=NOBODY" = 1 }', "asks for teacher 'NOBODY'. Teachers: tiny-teacher; name one by"),
        ("", 'losses = { "l1,teacher=" = 1 }', "names nobody; write teacher=NAME or teacher=A|B"),
        ("", 'losses = { "expert,teacher=a|a" = 1 }', "names a teacher twice"),
        ("", 'teachers = ["tiny-teacher", "tiny-teacher"]', "has teacher 'tiny-teacher' twice; write NAME=SPEC"),
        ("", 'losses = { "expert" = 1 }', "needs 2 or more teachers, stage 'second' gives it 1"),
        ("", 'losses = { "zoo,as=a" = 1, "zoo,as=b" = 1, "zoo:part" = 1 }', "'zoo:part' .* may mean a or b"),
        ("", 'losses = { zoo = 1, "zoo:part,teacher=tiny-teacher" = 1 }', "can have no keys of its own"),
        (ALIGN, 'losses = { "align,as=align" = 1 }', "'align' .* cannot go on with what it learned in stage 'first'"),
    ],
)
def test_it_is_refused_in_one_line(installed: Path, tmp_path: Path, first: str, second: str, told: str) -> None:
    with pytest.raises(KdcliError, match=told.replace("A|B", r"A\|B")) as error:
        run(tmp_path / "run", first, second)
    assert "\n" not in str(error.value) and error.value.exit_code == 1
    assert not (tmp_path / "run").exists()


def test_teachers_of_the_command_line_take_the_places_of_those_from_outside(installed: Path, tmp_path: Path) -> None:
    config = load("two", TWO.replace("FIRST", "").replace("SECOND", NAMED), {"teachers": ("tiny-teacher,number=4",)})
    assert config.main.teachers == ("aux=stage:first", "big=tiny-teacher,number=4")
    run(tmp_path / "run", "", NAMED, teachers=("big=tiny-teacher,number=4",))
    with pytest.raises(ConfigError, match=r"asks for teacher 'big'\. Teachers: aux, large"):
        run(tmp_path / "other", "", NAMED, teachers=("large=tiny-teacher,number=4",))


def test_a_student_may_be_taught_by_what_it_was(installed: Path, tmp_path: Path) -> None:
    run(tmp_path / "again", "", 'teachers = ["stage:first"]')
    run(tmp_path / "around", 'student = "tiny,width=5"', 'teachers = { self = "stage:first" }')
