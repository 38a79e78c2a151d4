"""One owner of a folder: of processes that ask at once exactly one, and nobody dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from left_behind import GONE

from kdcli import locks
from kdcli.errors import ConfigError
from kdcli.locks import NAME, Busy, for_a_moment, only_one, owned
from kdcli.processes import Process, myself, started

ROUNDS, PROCESSES = 200, 3

RACE = f"""
import os, sys
from pathlib import Path
from kdcli import locks
folder, kernel = Path(sys.argv[1]), sys.argv[2] == "kernel"
if not kernel:
    locks._lock = lambda handle: None
won = 0
for _ in range({ROUNDS}):
    try:
        with locks.only_one(folder):
            os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))  # fails where somebody else is
            won += 1
            os.unlink(folder / "inside")
    except locks.Busy:
        pass
print(won)
"""

HOLD = """
import os, sys, time
from pathlib import Path
from kdcli.locks import only_one
with only_one(Path(sys.argv[1])):
    if "fork" not in sys.argv or os.fork() == 0:  # a child that says so has put away what was its parent's
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


def holding(folder: Path, *how: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), *how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("how", ["kernel", "file"])
def test_of_processes_that_race_one_is_inside(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-c", RACE, str(tmp_path), how]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
              for _ in range(PROCESSES)]  # fmt: skip
    told = [process.communicate(timeout=120) for process in racing]
    assert [err for _, err in told] == [""] * PROCESSES
    assert sum(int(out) for out, _ in told) > 0
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]
    with only_one(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_the_owner_is_named_and_its_end_frees_the_folder(tmp_path: Path) -> None:
    process, _ = holding(tmp_path)
    try:
        with pytest.raises(ConfigError, match=rf"process {process.pid} is working on '.*'; wait for it or stop it"), \
                only_one(tmp_path):
            pass
        assert json.loads((tmp_path / NAME).read_text())["pid"] == process.pid
    finally:
        process.kill()
        process.wait()
    with only_one(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()
        with pytest.raises(Busy), only_one(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_does_not_keep_what_its_killed_parent_owned(tmp_path: Path) -> None:
    process, child = holding(tmp_path, "fork")
    try:
        process.kill()
        process.wait()
        with only_one(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_an_owner_of_another_machine_is_not_overruled(tmp_path: Path) -> None:
    other = replace(myself(), host="node17", boot="another", pid=4711)
    text = json.dumps(other.document())
    (tmp_path / NAME).write_text(text)
    with pytest.raises(Busy, match=rf"process 4711 of machine 'node17' .* delete '.*{NAME}' and try again"), \
            only_one(tmp_path):
        pass
    assert (tmp_path / NAME).read_text() == text
    (tmp_path / NAME).unlink()
    with only_one(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"", b"\xff\0", b"[" * 100_000, b'{"pid": "x"}', b'{"pid": 1}', b"17"])
def test_a_damaged_name_is_no_owner(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with only_one(tmp_path):
        assert Process.read(json.loads((tmp_path / NAME).read_text())) == myself()


@pytest.mark.parametrize("change", [{"pid": GONE}, {"started": "1"}, {"boot": "before"}])
def test_without_locks_of_the_system_a_dead_owner_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    if not (started(os.getpid()) and myself().boot):
        pytest.skip("this system does not tell when a process began")
    monkeypatch.setattr(locks, "_lock", lambda handle: None)
    (tmp_path / NAME).write_text(json.dumps(myself().document()))
    with pytest.raises(Busy, match=f"process {os.getpid()} is working"), only_one(tmp_path):
        pass
    (tmp_path / NAME).write_text(json.dumps({**myself().document(), **change}))
    with only_one(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_container_of_this_machine_is_seen_by_the_systems_lock_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ids are not those of here, so that one that is free here says nothing."""
    if not myself().boot:
        pytest.skip("this system does not tell one start of the machine from another")
    other = json.dumps(replace(myself(), host="another-container", pid=GONE).document())
    (tmp_path / NAME).write_text(other)
    with only_one(tmp_path):  # the lock could be had: whoever held it has ended
        pass
    (tmp_path / NAME).write_text(other)
    monkeypatch.setattr(locks, "_lock", lambda handle: None)
    with pytest.raises(Busy, match=rf"machine 'another-container' .* delete '.*{NAME}'"), only_one(tmp_path):
        pass
    assert (tmp_path / NAME).read_text() == other


def test_without_locks_of_the_system_a_half_taken_folder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_lock", lambda handle: None)
    (tmp_path / locks.GUARD).touch()
    with pytest.raises(Busy, match=f"delete '.*{locks.GUARD}'"), only_one(tmp_path):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / NAME).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match=NAME), only_one(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "precious"


def test_moments_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process, _ = holding(tmp_path)
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: (process.kill(), process.wait()))
    with for_a_moment(tmp_path):
        assert process.poll() is not None


def test_a_folder_that_was_made_for_nothing_goes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), owned(tmp_path / "new"):
        raise ZeroDivisionError
    assert not (tmp_path / "new").exists()
    with owned(tmp_path / "new"):
        (tmp_path / "new" / "file").touch()
    with owned(tmp_path / "new"):
        pass
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
