"""Golden networks by name, and the command line in this process, in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden import Golden
from trees import Command
from typer.testing import CliRunner

from kdcli.cli.app import app


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Golden]:
    """Return the golden folder of a network; skipped where the golden numbers are absent."""

    def find(name: str) -> Golden:
        folder = shared / "golden" / name
        if not folder.is_dir():
            pytest.skip(f"no golden numbers at {folder}")
        return Golden(folder)

    return find


@pytest.fixture
def distil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``kdcli distill`` and return its JSON document and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*args: object) -> tuple[Any, str]:
        told = CliRunner().invoke(app, ["distill", "--json", "--device", "cpu", *map(str, args)])
        assert told.exit_code == 0, (told.output, told.exception)
        return json.loads(told.stdout), told.stderr

    return call
