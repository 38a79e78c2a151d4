"""Files that are no Python are told without an import; what Python has compiled is not parsed again."""

from __future__ import annotations

import os
import py_compile
from pathlib import Path

import pytest

from kdcli.plugins import syntax


def test_what_is_no_python_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "plugin.py"
    file.write_text("x = 1\ny = = 2\n")
    told = syntax.no_python(file)
    assert told is not None and told.startswith("SyntaxError") and told.endswith("line 2)")
    assert "No such file" in str(syntax.no_python(tmp_path / "gone.py"))


def test_a_compiled_file_is_not_parsed_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    monkeypatch.setattr(syntax.ast, "parse", lambda text, filename: parsed.append(filename))
    file = tmp_path / "plugin.py"
    file.write_text("x = 1\n")
    assert syntax.no_python(file) is None and len(parsed) == 1
    py_compile.compile(str(file), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    assert syntax.no_python(file) is None and len(parsed) == 1
    file.write_text("x = = 1\n")  # of another size
    assert syntax.no_python(file) is None and len(parsed) == 2
    file.write_text("y = 2\n")
    os.utime(file, (0, 0))  # of another time
    assert syntax.no_python(file) is None and len(parsed) == 3
