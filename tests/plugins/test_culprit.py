"""Errors that no guard met are traced to the plugin whose code they came through, and end the command with 3."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from throwaway import distribution, run_kdcli
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.errors import PluginError
from kdcli.plugins import blame, registry
from kdcli.protocols import API_VERSION
from kdcli.students.files import save_student
from kdcli.students.mobilenet import MobileNet

LOSS = """
import torch
from kdcli.types import ANY_KIND, Needs


class Odd(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise {error}


class Thing:
    api_version = {version}
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 0.0
    invariances = frozenset()

    def terms(self, ctx):
        return {{"odd": Odd.apply(ctx.student.out.depth.mean())}}
"""
RUN = ("distill", "--recipe", "plain", "--teacher", "ground-truth", "--student", "mobilenet,width=0.35",
       "--loss", "odd=1.0", "--data", "sim:blocks,count=8", "--size", "32x48", "--batch-size", "2",
       "--steps", "2", "--no-twin")


def test_an_end_of_python_in_a_backward_pass_ends_the_command_with_3(tmp_path: Path) -> None:
    """One that exits with 0 in the middle of a run must not look like a run that ended well."""
    source = LOSS.format(error="SystemExit(0)", version=API_VERSION)
    site = tmp_path / "site"
    distribution(site, "odd-losses", {"losses": {"odd": "thirdparty_odd:Thing"}}, {"thirdparty_odd.py": source})
    done = run_kdcli(*RUN, "--out", tmp_path / "run", path=site, cache=tmp_path / "cache")
    assert done.returncode == 3, done.stderr
    assert "kdcli: loss 'odd' of odd-losses 1.0 failed: SystemExit: 0; report it to its author" in done.stderr
    assert "Traceback" not in done.stderr


TEACHER = """
import torch
from kdcli.types import DepthKind, Provenance


class Thing(torch.nn.Module):
    api_version = {version}
    depth_kind = DepthKind.METRIC
    depth_range = (0.1, 10.0)
    taps = {{}}
    provenance = Provenance(name="odd")

    def forward(self, image):
        raise {error}
"""
SOURCE = """
import torch
from kdcli.types import DepthKind


class Thing:
    api_version = {version}
    name, depth_kind = "odd", DepthKind.METRIC

    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise {error}

    def check(self):
        raise {error}
"""
EXPORTER = """
class Thing:
    api_version = {version}
    suffix = ".odd"

    def export(self, model, path, *, size, dynamic, metadata):
        raise {error}

    def load(self, path):
        raise {error}
"""
CALLS = {
    "teacher": (TEACHER, ("eval", "teacher:odd", "--data", "sim:rooms,count=2", "--size", "32x48")),
    "source": (SOURCE, ("data", "check", "odd")),
    "source item": (SOURCE, ("eval", "teacher:ground-truth", "--data", "odd")),
    "exporter": (EXPORTER, ("export", "student.safetensors", "--format", "odd", "--out", "x.odd")),
    "loss": (LOSS, (*RUN, "--out", "run")),
}


@pytest.mark.parametrize("error", ["SystemExit(0)", "BrokenPipeError()", "KeyboardInterrupt()", "typer.Exit(0)"])
@pytest.mark.parametrize("case", sorted(CALLS))
def test_an_end_of_python_in_each_kind_is_a_plugin_error(
    case: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, call = CALLS[case]
    kind = case.partition(" ")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))
    if kind == "exporter":
        save_student(tmp_path / "student.safetensors", MobileNet(width=0.35), "mobilenet,width=0.35",
                     {"licence": "Apache-2.0", "training_data": "nothing"})
    text = "import typer\n" + text.format(error=error, version=API_VERSION)
    group = registry.GROUPS[kind].removeprefix("kdcli.")
    distribution(tmp_path, "odd-parts", {group: {"odd": "thirdparty_odd:Thing"}}, {"thirdparty_odd.py": text})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(blame, "_loaded", [])
    forget()
    try:
        done = CliRunner().invoke(app, list(call))
    finally:
        monkeypatch.undo()
        forget()
    assert isinstance(done.exception, PluginError), (done.output, done.exception)
    name = error.partition("(")[0].rpartition(".")[2]
    assert re.match(rf"{kind} 'odd' of odd-parts 1\.0 failed.*: {name}", str(done.exception))


def forget() -> None:
    registry.discover.cache_clear()
    registry.load.cache_clear()
    sys.modules.pop("thirdparty_odd", None)
