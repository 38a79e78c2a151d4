"""Every kdcli line of README and docs is one that kdcli understands: command, options, arguments."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click
import pytest
import typer
from doc_blocks import blocks, is_whole, within_sentences
from typer.main import get_command

from kdcli.cli.app import app

CALLS = sorted({
    (block.page.name, *words[1:])
    for block in (*blocks("console", "bash"), *filter(is_whole, within_sentences()))
    for words in block.calls()
    if words[0] == "kdcli"
})
MENTIONS = sorted({block.text for block in within_sentences() if not is_whole(block)})


def test_there_are_calls() -> None:
    assert len(CALLS) > 80 and len(MENTIONS) > 20


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_documented_call_is_understood(call: tuple[str, ...]) -> None:
    command: Any = get_command(app)
    with suppress(typer.Exit):  # an option that tells something and ends, whatever else is missing
        context = command.make_context("kdcli", list(call[1:]), resilient_parsing=False)
        while hasattr(command, "resolve_command"):
            rest = [*context._protected_args, *context.args]
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("mention", MENTIONS)
def test_a_command_that_a_sentence_names_exists_with_its_options(mention: str) -> None:
    words = mention.split()[1:]
    command: Any = get_command(app)
    while hasattr(command, "resolve_command") and words:
        with click.Context(command) as context:
            _, command, words = command.resolve_command(context, words)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known
