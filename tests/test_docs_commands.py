"""Every kdcli line of README and docs is one that kdcli understands: command, options, arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from kdcli.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]


def lines() -> Iterator[tuple[str, str]]:
    """Page and words of each call in a block for the console; what follows a pipe or && is not kdcli's."""
    for page in PAGES:
        for block in re.findall(r"```(?:console|bash)\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|\|(?!\w)|;", line.removeprefix("$ ")):
                    if part.strip().startswith("kdcli "):
                        yield page.name, part.strip().removeprefix("kdcli ")


CALLS = sorted(set(lines()))


def test_there_are_calls() -> None:
    assert len(CALLS) > 60


@pytest.mark.parametrize(("page", "call"), CALLS)
def test_a_documented_call_is_understood(page: str, call: str) -> None:
    command: Any = get_command(app)
    words = shlex.split(call, comments=True)
    context = command.make_context("kdcli", list(words), resilient_parsing=False)
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
