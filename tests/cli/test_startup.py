"""Help, listings and completion: nothing is imported that they do not need. ``benchmarks/startup.py`` has the times."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from throwaway import broken_ones
from typer.testing import CliRunner

import kdcli
from kdcli.cli.app import app
from kdcli.cli.lazy import COMMANDS
from kdcli.cli.light import LightCommand, LightGroup

HEAVY = ("torch", "numpy", "PIL", "timm", "torchvision", "onnx", "onnxruntime", "safetensors", "rich", "pydantic")
CALLS = (["--help"], ["--version"], ["distill", "--help"], ["plugins", "list"], ["plugins", "list", "--json"],
         ["study", "--help"])
EVERY = ("mix", "fit-transform", "cache", "distill", "eval", "calibrate", "export", "bench", "predict", "explain",
         "plugins", "data", "weights", "recipes", "runs", "study", "doctor")


def start(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\nfrom kdcli.cli.app import main\n"
        f"sys.argv = ['kdcli', *{arguments!r}]\n"
        "try:\n    main()\n"
        "finally:\n"
        "    print('ALL', *sorted(m for m in sys.modules if m.startswith(('kdcli', 'importlib'))), file=sys.stderr)\n"
        f"    print('HEAVY', *sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False,
                          env={**os.environ, **environment})


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    done = start(arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].split() == ["HEAVY"]


NEEDED = {
    "--help": set(), "--version": set(), "eval --help": {"evaluate"}, "distill --help": {"distill"},
    "study --help": {"study"}, "doctor --help": {"doctor"}, "plugins list --help": {"plugins"},
}
"""Call -> the modules of commands that it may import."""
COMMANDS_FILES = {module for module, _ in COMMANDS.values()}
ROOMS = {path.parent.name for path in Path(kdcli.__file__).parent.glob("*/__init__.py")} - {"cli"}
"""The packages of kdcli, none of which help needs."""


@pytest.mark.parametrize("words", sorted(NEEDED))
def test_help_imports_its_own_command_alone(words: str) -> None:
    done = start(words.split())
    assert done.returncode == 0, done.stderr
    modules = done.stderr.splitlines()[-2].split()[1:]
    commands = {name.removeprefix("kdcli.cli.") for name in modules if name.startswith("kdcli.cli.")}
    assert commands & COMMANDS_FILES == NEEDED[words]
    assert not {name.split(".")[1] for name in modules if name.startswith("kdcli.")} & ROOMS
    assert "importlib.metadata" not in modules


def test_the_lines_of_the_whole_help_are_those_of_the_commands() -> None:
    from typer.main import get_command

    group = get_command(app)
    assert list(group.commands) == list(COMMANDS)
    for name, (_, line) in COMMANDS.items():
        told = group.commands[name].help or group.commands[name].short_help
        assert line == " ".join(told.split("\n\n")[0].split()), name


def test_a_typing_error_gets_the_nearest_command() -> None:
    done = CliRunner().invoke(app, ["distil"])
    assert done.exit_code == 2
    assert "Did you mean 'distill'" in done.stderr


def test_broken_and_slow_plugins_cost_help_nothing(tmp_path: Path) -> None:
    broken_ones(tmp_path)
    done = start(["--help"], PYTHONPATH=str(tmp_path), KDCLI_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not line.startswith(("HEAVY", "ALL"))] == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("kdcli distill --teacher ada", {"adabins"}), ("kdcli plugins info mobil", {"mobilenet"}),
        ("kdcli plugins new stu", {"student", "study"}), ("kdcli dis", {"distill"}),
        ("kdcli distill --recipe data", {"data-free", "data-free-plus"}),
        ("kdcli study data", {"data-free-mini", "data-free-nyu", "data-free-photos", "data-free-plus-mini"}),
    ],
)
def test_completion_reads_metadata_only(words: str, offered: set[str], tmp_path: Path) -> None:
    broken_ones(tmp_path)
    done = start([], _KDCLI_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1),
                 PYTHONPATH=str(tmp_path), KDCLI_CACHE=str(tmp_path / "cache"))
    assert set(done.stdout.split()) == offered
    heavy = done.stderr.splitlines()[-1].split()[1:]
    assert not set(heavy) & {"torch", "numpy", "timm"}


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_help_and_takes_the_common_options(name: str) -> None:
    from typer.main import get_command

    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0
    command = get_command(app).commands[name]
    for one in getattr(command, "commands", {name: command}).values():
        taken = {option for parameter in one.params for option in parameter.opts}
        assert {"--device", "--seed", "--json", "--quiet", "--debug"} <= taken


def test_options_are_still_converted_and_refused() -> None:
    """The light reader leaves every value that needs conversion to Typer."""
    runner = CliRunner()
    for arguments in (["plugins", "list", "--seed", "x"], ["distill", "--steps", "0"], ["distill", "--lr", "fast"],
                      ["distill", "--no-such-flag"], ["no-such-command"]):
        assert runner.invoke(app, arguments).exit_code == 2, arguments


def test_the_light_reader_is_in_place() -> None:
    from typer.main import get_command

    group = get_command(app)
    assert isinstance(group, LightGroup)
    commands = list(group.commands.values())
    nested = [c for g in commands if isinstance(g, LightGroup) for c in g.commands.values()]
    assert all(isinstance(command, LightGroup | LightCommand) for command in [*commands, *nested])
    assert len(nested) > 5
