"""What a plugin changes around it is put back and told, at import, at construction and in a run."""

from __future__ import annotations

import locale
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from throwaway import distribution

from kdcli.plugins import blame
from kdcli.plugins.plugin import Plugin
from kdcli.plugins.surroundings import kept, kept_by_plugins


def states() -> dict[str, object]:
    """Return what the acts below touch, each read in its own way and not by the code under test."""
    mask = os.umask(0o022)
    os.umask(mask)
    return {
        "folder": Path.cwd(), "umask": mask, "locale": locale.setlocale(locale.LC_ALL),
        "alarm": signal.getsignal(signal.SIGALRM), "home": os.environ.get("HOME"), "own": "KDCLI_ODD" in os.environ,
        "path": sys.path[:3], "errors": [one[0] for one in warnings.filters].count("error"),
        "depth": sys.getrecursionlimit(), "threads": torch.get_num_threads(), "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(), "grad": torch.is_grad_enabled(),
        "exact": torch.are_deterministic_algorithms_enabled(), "cudnn": torch.backends.cudnn.benchmark,
        "matmul": torch.get_float32_matmul_precision(), "anomaly": torch.is_anomaly_enabled(),
    }


ACTS: dict[str, tuple[Callable[[], object], str]] = {
    "folder": (lambda: os.chdir("/"), "the working directory"),
    "umask": (lambda: os.umask(0o077), "the umask"),
    "alarm": (lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN), "signal handlers"),
    "home": (lambda: os.environ.update(HOME="/nowhere"), "variables of the environment"),
    "gone": (lambda: os.environ.pop("HOME"), "variables of the environment"),
    "own": (lambda: os.environ.update(KDCLI_ODD="1"), "variables of the environment"),
    "path": (lambda: sys.path.insert(0, "/nowhere"), "sys.path"),
    "errors": (lambda: warnings.simplefilter("error"), "warnings that become errors"),
    "depth": (lambda: sys.setrecursionlimit(9999), "the recursion limit"),
    "threads": (lambda: torch.set_num_threads(3), "PyTorch's threads"),
    "dtype": (lambda: torch.set_default_dtype(torch.float64), "the default dtype"),
    "device": (lambda: torch.set_default_device("meta"), "the default device"),
    "grad": (lambda: torch.set_grad_enabled(False), "the gradient mode"),
    "exact": (lambda: torch.use_deterministic_algorithms(True), "deterministic algorithms"),
    "cudnn": (lambda: setattr(torch.backends.cudnn, "benchmark", True), "deterministic algorithms"),
    "matmul": (lambda: torch.set_float32_matmul_precision("medium"), "the precision of matrix products"),
    "anomaly": (lambda: torch.autograd.set_detect_anomaly(True), "the detection of anomalies"),
}


@pytest.mark.parametrize("name", sorted(ACTS))
def test_each_change_is_put_back_and_told(name: str) -> None:
    act, thing = ACTS[name]
    before, said = states(), list[str]()
    with kept("import of loss 'odd'", say=said.append):
        act()
    assert states() == before
    assert said == [f"the import of loss 'odd' changed {thing}; put back, report it to its author"]


def test_a_change_is_put_back_when_the_block_fails_too() -> None:
    before, said = states(), list[str]()
    with pytest.raises(SystemExit), kept("import", say=said.append):
        os.chdir("/")
        raise SystemExit(0)
    assert states() == before
    assert len(said) == 1


def test_additions_that_harm_nobody_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/a")
    monkeypatch.delenv("ODD_LIBRARY_THREADS", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    said: list[str] = []
    with kept("import", say=said.append), warnings.catch_warnings():
        os.environ["ODD_LIBRARY_THREADS"] = "1"
        os.environ["LD_LIBRARY_PATH"] = f"/b{os.pathsep}/a"
        sys.path.append("/vendored")
    assert said == []
    assert os.environ.pop("ODD_LIBRARY_THREADS") == "1"
    assert sys.path[-1] == "/vendored"


def drawn() -> tuple[float, float, float]:
    return random.random(), float(torch.rand(())), float(np.random.rand())  # noqa: NPY002 - the global one is meant


def test_an_import_changes_no_random_numbers_and_a_constructor_draws_its_own() -> None:
    states = random.getstate(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    expected = drawn()
    random.setstate(states[0]), torch.set_rng_state(states[1]), np.random.set_state(states[2])  # noqa: NPY002
    said: list[str] = []
    with kept("import", say=said.append):
        random.seed(1), torch.manual_seed(1), np.random.seed(1)  # noqa: NPY002
    assert drawn() == expected
    assert "Python's random numbers, PyTorch's random numbers, NumPy's random numbers" in said[0]
    with kept("construction", seeds=False, say=said.append):
        first = torch.rand(3)
    assert not torch.equal(torch.rand(3), first)
    assert len(said) == 1


def test_a_run_is_watched_only_where_somebody_elses_plugins_are(monkeypatch: pytest.MonkeyPatch,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(blame, "_loaded", [])
    monkeypatch.setattr("kdcli.plugins.surroundings.kept", lambda *_, **__: pytest.fail("nothing is to be read"))
    with kept_by_plugins("stage 'train'"):
        pass
    monkeypatch.undo()
    theirs = Plugin(kind="loss", name="odd", distribution="odd-losses", version="2.1", value="odd:Loss")
    monkeypatch.setattr(blame, "_loaded", [theirs])
    before = states()
    with kept_by_plugins("stage 'train'"):
        os.umask(0o077)
    assert states() == before
    assert "the stage 'train' with loss 'odd' of odd-losses 2.1 changed the umask" in capsys.readouterr().err


STREAMS = """
import os, sys
{body}
class Thing:
    api_version = {version}
    def __init__(self):
{inner}
"""
BODIES = {
    "closes": "sys.stdout.close(); sys.stderr.close()", "replaces": "sys.stdout = sys.stderr = None",
    "descriptors": "os.close(1); os.close(2)", "elsewhere": "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
}


@pytest.mark.parametrize("where", ["import", "construction"])
@pytest.mark.parametrize("name", sorted(BODIES))
def test_streams_still_work_after_a_plugin_closed_or_replaced_them(name: str, where: str, tmp_path: Path) -> None:
    from kdcli.protocols import API_VERSION

    body = BODIES[name] if where == "import" else ""
    inner = f"        {BODIES[name] if where == 'construction' else 'pass'}"
    source = STREAMS.format(body=body, inner=inner, version=API_VERSION)
    distribution(tmp_path, "odd-streams", {"losses": {"streams": "thirdparty_streams:Thing"}},
                 {"thirdparty_streams.py": source})
    code = ("import sys, os; from kdcli.plugins import registry; registry.build('loss', 'streams'); "
            "print('result'); sys.stdout.flush(); os.write(1, b'bytes\\n'); print('message', file=sys.stderr)")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
           "KDCLI_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "result\nbytes\n"
    assert done.stderr.endswith("message\n")
    if (name, where) != ("elsewhere", where):
        assert f"kdcli: the {where} of loss 'streams' of odd-streams 1.0 changed sys." in done.stderr
