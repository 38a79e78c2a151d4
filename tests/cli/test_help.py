"""Help of every command at three widths: whole sentences, one word for one thing, an example, no idle option."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.cli.lazy import COMMANDS, GROUPS
from kdcli.cli.light import first_line

WIDTHS = (60, 80, 120)
SEVERAL = {
    "--batch-size": {"N", "N|auto"},
    "--against": {"SPEC", "MODEL", "FILE.onnx"},
    "--format": {"png16|npy|both", "FORMAT"},
    "--out": {"DIR", "FILE", "FILE.png", "FILE.safetensors", "FILE.toml", "TRAIN.txt TEST.txt"},
    "--to": {"DIR", "shards|folder|ultralytics|libreyolo|tum|marigold|moge"},
}
"""Options of one name that take different things in different commands."""


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*words, name))


@cache
def every() -> dict[str, Any]:
    return {" ".join(words): command for words, command in walk(get_command(app))}


def parameters(command: Any) -> list[Any]:
    context = command.context_class(command, info_name="kdcli")
    return [one for one in command.get_params(context) if hasattr(one, "type_descriptor") and not one.hidden]


def page(words: str, wide: int) -> list[str]:
    done = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": str(wide)}, prog_name="kdcli")
    assert done.exit_code == 0, done.output
    return str(done.stdout).splitlines()


def flat(text: str) -> str:
    """Text without its layout: what is compared where lines were folded."""
    return "".join(text.replace("\\\n", "").split())


@pytest.mark.parametrize("wide", WIDTHS)
def test_every_page_fits_and_holds_every_sentence_whole(wide: int) -> None:
    for words, command in every().items():
        lines = page(words, wide)
        assert max(map(len, lines)) <= wide, (words, max(lines, key=len))
        whole = flat("\n".join(lines))
        below = getattr(command, "commands", {}).values()
        told = [command.help, *(one.help for one in parameters(command)), *(first_line(one) for one in below)]
        for sentence in told:
            assert flat(sentence or "") in whole, (words, sentence)
        shown = {word for line in lines for word in line.split()}
        ours = {word for sentence in told for word in (sentence or "").split() if len(word) < wide // 3}
        assert ours <= shown, (words, ours - shown)  # no word is cut, at hyphens neither


def test_every_command_has_a_first_line_an_example_and_options_that_are_explained() -> None:
    for words, command in every().items():
        assert first_line(command), words
        examples = [line for line in (command.epilog or "").splitlines() if line]
        assert examples or hasattr(command, "commands"), f"kdcli {words}: command(..., example=...)"
        assert any("Example" in line for line in page(words, 80)), words
        assert all(one.help for one in parameters(command)), words


def _check(command: Any, arguments: list[str], words: str) -> None:
    """Read a command's options as a call would, without the call."""
    if hasattr(command, "commands"):
        assert arguments and arguments[0] in command.commands, words
        return _check(command.commands[arguments[0]], arguments[1:], words)
    if "--help" not in arguments and "list" not in arguments:
        with command.make_context(words, list(arguments)):
            pass


def test_every_example_is_a_call_that_the_command_takes() -> None:
    for words, command in every().items():
        for line in (command.epilog or "").splitlines():
            first, *arguments = shlex.split(line)
            assert first == "kdcli", line
            assert arguments[: len(words.split())] == words.split(), (words, line)
            _check(every()[""], arguments, line)


def test_examples_are_folded_so_that_a_shell_reads_them_as_one() -> None:
    lines = page("eval", 60)
    text = "\n".join(lines[lines.index("Examples:") + 1 :]).replace("\\\n", " ")
    calls = [" ".join(shlex.split(line)) for line in text.splitlines()]
    assert calls == every()["eval"].epilog.splitlines()


def test_one_thing_has_one_word() -> None:
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for words, command in every().items():
        for one in parameters(command):
            if not getattr(one, "is_flag", False) and one.param_type_name == "option":
                assert one.metavar, f"kdcli {words} {one.opts[0]}: give it a word in kdcli/cli/pages.py, or a metavar"
                found[one.opts[0]][one.metavar].append(words)
            elif one.param_type_name == "argument":
                assert one.metavar and (one.metavar.isupper() or one.metavar == "hf:ORG/NAME"), (words, one.name)
    for option, by_word in found.items():
        assert set(by_word) == SEVERAL.get(option, set(list(by_word)[:1])), (option, dict(by_word))


def test_a_number_out_of_range_is_named_with_the_range() -> None:
    tried = 0
    for words, command in every().items():
        for one in parameters(command):
            info = getattr(one.type_descriptor, "parameter_info", None)
            low = getattr(info, "min", None)
            if low is None or one.param_type_name != "option":
                continue
            tried += 1
            for value in (f"{low - 1:g}", "nonsense", "nan"):
                done = CliRunner().invoke(app, [*words.split(), one.opts[0], value], prog_name="kdcli")
                assert done.exit_code == 2, (words, one.opts)
                assert re.search(rf"'{value}' is not a (whole )?number from {low:g} (on|to)", done.output), done.output
    assert tried > 20


def test_no_page_shows_a_type_of_python() -> None:
    for words in every():
        text = "\n".join(page(words, 120))
        assert not re.findall(r"<str>|<int|list\[|<path>|<float|\{\w+\|", text), words


def test_commands_stand_under_what_one_wants_the_main_one_first() -> None:
    assert list(GROUPS) == ["Make a student", "Look at it", "Take it along", "Look behind"]
    assert next(iter(COMMANDS)) == "distill"
    assert sum(map(len, GROUPS.values())) == len(COMMANDS)
    lines = page("", 80)
    headings = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [*GROUPS, "Options", "Examples"]
    for title, group in GROUPS.items():
        below = lines[lines.index(f"{title}:") + 1 :]
        shown = [line.split()[0] for line in below[: below.index("")] if line[2] != " "]
        assert shown == list(group)


def _asks(function: Any) -> set[str]:
    """What a command's function asks its session for, itself or by other functions of its room that it names."""
    names, todo, seen = set[str](), [function], set[Any]()
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        home = sys.modules[one.__module__]
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(one)))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "session":
                names.add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                other = getattr(home, node.func.id, None)
                if inspect.isfunction(other) and other.__module__.startswith("kdcli.cli."):
                    todo.append(other)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kdcli.cli."):
                imported = [getattr(importlib.import_module(str(node.module)), one.name) for one in node.names]
                todo += [one for one in imported if inspect.isfunction(one)]
    return names


def test_device_and_seed_are_shown_exactly_where_they_mean_something() -> None:
    for words, command in every().items():
        if hasattr(command, "commands"):
            continue
        function = inspect.getclosurevars(inspect.unwrap(command.callback)).nonlocals["function"]
        options = {option for one in parameters(command) for option in one.opts}
        asked = _asks(function)
        assert ("--device" in options) == ("device" in asked), words
        assert ("--seed" in options) == bool({"seed", "seed_given"} & asked), words
        assert {"--json", "--quiet", "--debug"} <= options, words
