from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("kdcli", "tests", "plugins", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if "build" not in path.parts
)
MOST_LINES = 400


@pytest.mark.parametrize("file", FILES, ids=str)
def test_one_idea_a_file(file: Path) -> None:
    text = (ROOT / file).read_bytes()
    lines = text.count(b"\n")
    assert lines <= MOST_LINES, f"{file} has {lines} lines; split it by idea"
    assert text.isascii(), f"{file} is not ASCII"


def test_files_are_found() -> None:
    assert Path("kdcli/plugins/registry.py") in FILES
