"""Push and pull are interrupted half way, each in a process of its own, and done again."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hub_stand_in import WRITES, Hub

LONGEST = 120.0
SENT = "hf:me/small has all of these files or none; the same command goes on, after what has arrived"
CAME = "files that came whole are kept in the hub's cache; the same command goes on"


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "HF_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}


def _interrupted(hub: Hub, words: list[str], environment: dict[str, str], sign: str, kept: str) -> None:
    """Run a command, interrupt it when the hub was asked for something, and check what it says to have kept."""
    hub.fault, hub.asked = "stall", []
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + LONGEST
    while not any(sign in one for one in hub.asked) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=LONGEST)
    assert process.returncode == 130 and out == "", told
    assert told.splitlines()[-2:] == [kept, "kdcli: interrupted"] and "Traceback" not in told
    hub.fault = None


def _done(words: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_push_leaves_nothing_half_there(run: Path, hub: Hub, environment: dict[str, str], tmp_path: Path) -> None:
    words = [sys.executable, "-m", "kdcli", "push", str(run), "hf:me/small"]
    there = {**environment, "HF_TOKEN": WRITES}
    _interrupted(hub, words, there, "PUT /large", SENT)
    assert set(hub.tree("me/small")) == {".gitattributes"} and not list(tmp_path.glob("kdcli-push-*"))
    _done(words, there)
    assert "student.safetensors" in hub.tree("me/small")


@pytest.mark.slow
def test_a_pull_leaves_nothing_half_there(
    run: Path, hub: Hub, call: Any, token: str, environment: dict[str, str]
) -> None:
    assert call("push", run, "hf:me/small").exit_code == 0
    words = [sys.executable, "-m", "kdcli", "pull", "hf:me/small", "--out", "mine"]
    _interrupted(hub, words, environment, "student.safetensors", f"nothing was written to mine, and {CAME}")
    assert not Path("mine").exists()
    _done(words, environment)
    assert Path("mine/student.safetensors").is_file()


def _stop(*given: Any, **options: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("where", "words", "kept"), [
    ("kdcli.sharing.bundle.bundle", ("push", "runs/small", "hf:me/small"),
     "nothing was sent; the same command begins anew"),
    ("kdcli.hub.upload.upload", ("push", "runs/small", "hf:me/small"), SENT),
    ("kdcli.hub.download.fetch", ("pull", "hf:me/small"), CAME),
    ("kdcli.sharing.card.card", ("card", "runs/small"), "nothing was written; the same command begins anew"),
])  # fmt: skip
def test_each_says_what_is_kept(
    where: str, words: tuple[str, ...], kept: str, run: Path, call: Any, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = where.rpartition(".")
    monkeypatch.setattr(importlib.import_module(module), name, _stop)
    told = call(*words)
    assert told.exit_code == 130 and told.stderr.splitlines()[-2:] == [kept, "kdcli: interrupted"], told.stderr
