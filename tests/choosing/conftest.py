"""The command line in this process, in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trees import Command
from typer.testing import CliRunner

from kdcli.cli.app import app


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
