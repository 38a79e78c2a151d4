"""Of the slow tests a sample runs: the same in every process of a round, all of them where that is asked for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("slow_sample.py")
TESTS = """
import pytest

@pytest.mark.slow
@pytest.mark.parametrize("number", range(40))
def test_slow(number): ...

def test_quick(): ...
"""


def ran(folder: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", "none.ini", *options]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"::(test_\w+(?:\[\d+\])?)", said)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "none.ini").write_text("[pytest]\nmarkers =\n  slow: slow\n")
    return tmp_path


def test_a_sample_of_the_slow_ones_runs_and_all_others(folder: Path) -> None:
    one = ran(folder, "--slow-sample", "one")
    assert 2 <= len(one) <= 16 and "test_quick" in one
    assert ran(folder, "--slow-sample", "one", "-n", "2") == one
    assert ran(folder, "--slow-sample", "two") != one
    assert len(ran(folder, "--slow-share", "1")) == 41
    assert ran(folder, "--slow-share", "0") == ["test_quick"]


def test_of_many_alike_fewer_run(folder: Path) -> None:
    (folder / "test_some.py").write_text(TESTS.replace("mark.slow", "mark.slow(share=0.1)"))
    assert len(ran(folder, "--slow-sample", "one")) <= 9
    assert len(ran(folder, "--slow-share", "1")) == 41


def test_one_that_is_asked_for_by_name_runs(folder: Path) -> None:
    assert ran(folder, "--slow-share", "0", "test_some.py::test_slow[7]") == ["test_slow[7]"]
