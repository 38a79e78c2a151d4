"""Ctrl-C and its like at every moment, in real processes: one line, 130, no traceback, what was done is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kdcli import interrupts

MIX = ["mix", "--data", "sim:blocks", "--mixer", "none", "--count", "100000", "--out", "set"]
KEPT = "what was done is kept in set; the same command goes on\n"
NOTHING = "nothing was written; the same command begins anew\n"
START = "import sys; sys.argv = ['kdcli', *sys.argv[1:]]\nfrom kdcli.__main__ import main\n"
SLOW_EXIT = """
from kdcli.cli import interrupt
interrupt.install()
import atexit, pathlib, time

@atexit.register  # as libraries do, later than kdcli
def leave():
    pathlib.Path("leaving").touch()
    time.sleep(60)

"""
PATIENCE = 60.0

RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "none"
export = "none"
[[stage]]
teachers = ["ground-truth"]
data = "sim:blocks,count=24"
size = "32x48"
batch_size = 4
losses = { l1 = 1.0 }
steps = 100000
log_every = 1
"""


def _as_from_a_terminal() -> None:
    """Heed SIGHUP and SIGINT, which whoever runs these tests in the background may have the process ignore."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(code: str, arguments: list[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, preexec_fn=_as_from_a_terminal,
    )  # fmt: skip


def until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < end and process.poll() is None, "it did not come so far"
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_before_the_command_line_is_there(tmp_path: Path, number: int) -> None:
    (tmp_path / "typer.py").write_text("import pathlib, time\npathlib.Path('here').touch()\ntime.sleep(60)\n")
    process = start(START + "main()", ["--help"], tmp_path, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    until((tmp_path / "here").exists, process)
    process.send_signal(number)
    assert ended(process) == (130, "kdcli: interrupted\n")


def test_a_second_one_during_the_exit(tmp_path: Path) -> None:
    process = start(SLOW_EXIT + START + "main()", MIX, tmp_path)
    until(lambda: bool(list(tmp_path.glob("set/images/0*.png"))), process)
    process.send_signal(signal.SIGINT)
    until((tmp_path / "leaving").exists, process)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, KEPT + "kdcli: interrupted\n")
    assert not list(tmp_path.rglob(".*"))


def test_after_all_is_done_the_result_counts(tmp_path: Path) -> None:
    process = start(SLOW_EXIT + START + "main()", ["recipes", "show", "plain"], tmp_path)
    until((tmp_path / "leaving").exists, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "") and "[[stage]]" in out


def test_one_of_which_a_library_makes_another_error_is_answered(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom kdcli.cli import app, interrupt\nfrom kdcli.errors import DataError\n"
        "def odd(**given):\n    try:\n        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except BaseException:\n        raise DataError('a file is damaged') from None\n"
        "app.app = odd\napp.main()"
    )
    process = start(code, [], tmp_path)
    assert ended(process) == (130, "kdcli: interrupted\n")


def test_at_the_very_end_none_changes_the_exit_code(tmp_path: Path) -> None:
    """Python gives up its handlers before it ends: a signal would kill it whose result is there."""
    first = "import atexit, os, signal\n@atexit.register\ndef last():\n    os.kill(os.getpid(), signal.SIGTERM)\n" \
        "    print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)\n"
    process = start(first + START + "main()", ["--version"], tmp_path)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out.splitlines()[-1], err) == (0, "True", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.4, 1.0, 2.0])
def test_at_any_moment(tmp_path: Path, delay: float, number: int) -> None:
    code = f"from kdcli.cli import interrupt\ninterrupt.begin()\nprint('up', flush=True)\n{START}main()"
    process = start(code, MIX, tmp_path)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    time.sleep(delay)
    process.send_signal(number)
    code_of, err = ended(process)
    told = (KEPT,) if (tmp_path / "set").exists() else ("", NOTHING)
    assert code_of == 130 and err in [f"{one}kdcli: interrupted\n" for one in told]
    assert not list(tmp_path.rglob(".*"))


def test_a_finaliser_that_it_breaks_into_prints_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom kdcli.cli import interrupt\ninterrupt.install()\n"
        "class Odd:\n    def __del__(self):\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "Odd()\ninterrupt.answered()\nprint('on')"
    )
    process = start(code, [], tmp_path)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "on\n", "")


def test_tidying_up_is_not_broken_into_by_the_repetition(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\nfrom kdcli.cli import interrupt\ninterrupt.AGAIN = 0.05\ninterrupt.install()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    end = time.monotonic() + 0.5\n    while time.monotonic() < end:\n        time.sleep(0.01)\n"
        "    interrupt.answered()\n    print('tidied up')"
    )
    process = start(code, [], tmp_path)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "tidied up\n", "")


IMPORTED = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    time.sleep(0.01)
done = True
"""


@pytest.mark.parametrize(("seconds", "whole"), [(0.3, True), (60.0, False)])
def test_an_import_comes_to_its_end_unless_it_is_long(tmp_path: Path, seconds: float, whole: bool) -> None:
    """Native code that imports Python's ends the process where an exception comes out of that."""
    (tmp_path / "imported.py").write_text(IMPORTED.format(seconds=seconds))
    code = (
        "import sys, time\nfrom kdcli.cli import interrupt\ninterrupt.install()\ninterrupt.IMPORTS = 1.0\n"
        "sys.path.insert(0, '')\nmodule = None\n"
        "try:\n    import imported as module\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    interrupt.answered()\n    print(hasattr(module, 'done'))"
    )
    assert start(code, [], tmp_path).communicate(timeout=PATIENCE) == (f"{whole}\n", "")


def test_one_that_a_library_swallows_is_repeated(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\nfrom kdcli.cli import interrupt\ninterrupt.AGAIN = 0.05\ninterrupt.install()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    pass\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    interrupt.answered()\n    print('heard')"
    )
    process = start(code, [], tmp_path)
    assert process.communicate(timeout=PATIENCE) == ("heard\n", "")


@pytest.mark.parametrize(("before", "within"), [("signalled('_record')", "time.sleep(60)"), ("", "signalled('_is')")])
def test_a_lock_is_taken_and_put_away_whole(tmp_path: Path, before: str, within: str) -> None:
    """A request that comes as a folder's lock is made, or removed, is heard when that is done."""
    code = (
        "import os, pathlib, signal, time\nfrom kdcli import locks\nfrom kdcli.cli import interrupt\n"
        "interrupt.install()\n"
        "def signalled(name):\n    usual = getattr(locks, name)\n    def now(*given):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n        return usual(*given)\n    setattr(locks, name, now)\n"
        "folder = pathlib.Path('own')\nfolder.mkdir()\n"
        f"try:\n    {before}\n    with locks.only_one(folder):\n        {within}\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    interrupt.answered()\n    print(os.listdir(folder))"
    )
    assert start(code, [], tmp_path).communicate(timeout=PATIENCE) == ("[]\n", "")


@pytest.mark.parametrize("moment", ["folder.whole_folder", "folder.only_one", "job.disk_told"])
def test_a_run_that_is_just_there_leaves_no_folder_that_seems_at_work(tmp_path: Path, moment: str) -> None:
    """A request that comes as a run's folder has just been made is heard when its end can be written down."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    where, name = moment.split(".")
    code = (
        "import contextlib, os, signal, sys\nsys.argv = ['kdcli', *sys.argv[1:]]\n"
        f"from kdcli.training.run import {where} as where\nusual = where.{name}\n"
        "@contextlib.contextmanager\ndef now(*given):\n"
        "    with usual(*given) as found:\n"
        "        yield found\n"
        "        if not before: os.kill(os.getpid(), signal.SIGTERM)\n"
        "def first(*given):\n    os.kill(os.getpid(), signal.SIGTERM)\n    return usual(*given)\n"
        f"before = {moment != 'folder.whole_folder'}\n"
        f"where.{name} = first if before else now\n"
        "from kdcli.cli import interrupt\ninterrupt.begin()\nfrom kdcli.__main__ import main\nmain()"
    )
    process = start(code, ["distill", "--recipe", "recipe.toml", "--out", "run", "--logger", "none"], tmp_path)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, told
    assert told.endswith("nothing was done yet: nothing is kept\nkdcli: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


def test_another_thread_keeps_no_request_back() -> None:
    inside, done = threading.Event(), threading.Event()

    def moment() -> None:
        with interrupts.undisturbed():
            inside.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=moment)
    thread.start()
    assert inside.wait(PATIENCE) and interrupts.may_raise()
    done.set()
    thread.join()
    with interrupts.undisturbed():
        assert not interrupts.may_raise()
    assert interrupts.may_raise()


@pytest.mark.parametrize("again", [0.05, 60])
def test_one_that_was_swallowed_stops_the_next_loop_where_it_loses_nothing(tmp_path: Path, again: float) -> None:
    """A loop that begins when a request got lost hears of it by its flag, and is not broken into by the repetition."""
    code = (
        "import os, signal, time\nfrom kdcli.cli import interrupt\n"
        "from kdcli.training.loop.train import Interrupted, stop_requests\n"
        f"interrupt.AGAIN = {again}\ninterrupt.install()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException:\n    pass\n"
        "try:\n    with stop_requests() as asked:\n        time.sleep(0.5)\n        print('saved', asked.is_set())\n"
        "except Interrupted:\n    interrupt.answered()\n    print('heard')"
    )
    process = start(code, [], tmp_path)
    assert process.communicate(timeout=PATIENCE) == ("saved True\nheard\n", "")


def test_a_terminal_that_is_closed_keeps_the_state(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    (tmp_path / "long.toml").write_text(RECIPE)
    pid, terminal = pty.fork()
    if not pid:
        _as_from_a_terminal()
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, "-m", "kdcli", "distill", "--recipe", "long.toml", "--out", "run"])
    end, done = time.monotonic() + PATIENCE, (0, 0)
    try:
        log = tmp_path / "run" / "metrics.jsonl"
        os.set_blocking(terminal, False)
        while not (log.is_file() and log.stat().st_size) and time.monotonic() < end:
            try:
                os.read(terminal, 65536)
            except BlockingIOError:
                time.sleep(0.02)
        os.close(terminal)
        while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        if done == (0, 0):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(done[1]) == 130
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["state"] == "interrupted"
    assert (tmp_path / "run" / "checkpoints" / "state.pt").is_file()
    assert not list((tmp_path / "run").rglob(".*"))


def test_nohup_is_respected(tmp_path: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + START + "main()"
    process = start(code, MIX, tmp_path)
    until(lambda: bool(list(tmp_path.glob("set/images/0*.png"))), process)
    process.send_signal(signal.SIGHUP)
    many = len(list(tmp_path.glob("set/images/0*.png"))) + 64
    until(lambda: len(list(tmp_path.glob("set/images/0*.png"))) > many, process)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (130, KEPT + "kdcli: interrupted\n")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1"])
def test_what_comes_by_itself_and_twice_is_one_request(tmp_path: Path, name: str) -> None:
    code = (
        "import os, signal\nfrom kdcli.training.loop.train import stop_requests\n"
        "with stop_requests() as asked:\n"
        f"    os.kill(os.getpid(), signal.{name})\n    os.kill(os.getpid(), signal.{name})\n    print(asked.is_set())\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n    except KeyboardInterrupt:\n"
        "        print('at once', flush=True)\n        os._exit(0)"
    )
    process = start(code, [], tmp_path)
    assert process.communicate(timeout=PATIENCE) == ("True\nat once\n", "")
