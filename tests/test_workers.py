"""Processes that read: too long a name for their sockets is one line, and a main process that is gone none at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such sockets there")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (deep := tmp_path / ("d" * 100)).mkdir()
    (photos := tmp_path / "photos").mkdir()
    for number in range(8):
        Image.new("RGB", (64, 48), (number * 20, 90, 40)).save(photos / f"{number}.png")
    return os.environ | {"TMPDIR": str(deep)}


def kdcli(words: list[str], environment: dict[str, str], at: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kdcli", *words]
    return subprocess.run(command, env=environment, cwd=at, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("words", [
    ["distill", "--recipe", "plain", "--data", "folder:photos", "--steps", "2", "--set", "workers=2", "--eval-data",
     "none", "--out", "run"],
    ["data", "convert", "folder:photos", "--out", "shards", "--workers", "2"],
])  # fmt: skip
def test_a_long_folder_is_said_in_one_line(words: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    done = kdcli(words, environment, tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert environment["TMPDIR"] in last and "letters too long" in last and "workers" in last


def test_without_processes_the_same_folder_does(environment: dict[str, str], tmp_path: Path) -> None:
    words = ["data", "convert", "folder:photos", "--out", "shards", "--workers", "0", "--json"]
    done = kdcli(words, environment, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_a_folder_that_is_short_enough_is_not_made() -> None:
    """A process that is killed leaves it behind; those that hand tensors over make theirs themselves."""
    program = "from kdcli.workers import check_sockets; check_sockets(2)"
    with tempfile.TemporaryDirectory() as place:
        environment = os.environ | {"TMPDIR": place}
        subprocess.run([sys.executable, "-c", program], env=environment, timeout=120, check=True)
        assert not list(Path(place).iterdir())


TAKEN_HALF = """
import os, socket, sys, threading, time
from multiprocessing.reduction import DupFd
from kdcli.workers import begin_worker
begin_worker(0)
address = DupFd(0)._id[0]  # starts the thread that hands over, as a tensor does
taker = socket.socket(socket.AF_UNIX)
taker.connect(address)
taker.close()
time.sleep(1.0)
print("handed on" if any("_serve" in thread.name for thread in threading.enumerate()) else "gone")
sys.excepthook(ValueError, ValueError("told"), None)
"""


def test_a_worker_says_nothing_of_a_tensor_that_nobody_took() -> None:
    done = subprocess.run([sys.executable, "-c", TAKEN_HALF], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "handed on\n"
    assert done.stderr == "ValueError: told\n"


HALF_STARTED = """
import os, signal, time
from torch.utils.data import DataLoader
from kdcli.cli import interrupt
from kdcli.workers import started
from multiprocessing.process import BaseProcess
interrupt.install()
start, begun = BaseProcess.start, []
def asked(self):
    start(self)
    begun.append(self)
    if len(begun) == 1:
        os.kill(os.getpid(), signal.SIGTERM)
BaseProcess.start = asked
try:
    items = started(DataLoader([0] * 8, num_workers=2))
    time.sleep(5.0)
    print("not heard")
except KeyboardInterrupt:
    interrupt.answered()
    print(len(begun))
"""


def test_a_request_waits_for_processes_to_be_started() -> None:
    done = subprocess.run([sys.executable, "-c", HALF_STARTED], capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("2\n", "")
