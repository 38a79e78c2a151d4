"""How a refusal on the command line is checked."""

from __future__ import annotations

from typing import Any

from kdcli.errors import KdcliError


def refused(told: Any, code: int, *words: str) -> str:
    """Check that a command was refused in one line, and return it."""
    error = told.exception
    assert isinstance(error, KdcliError), (told.output, error)
    line = str(error)
    assert error.exit_code == code and "\n" not in line, line
    for word in words:
        assert word in line, line
    return line
