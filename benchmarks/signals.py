"""Signals and kills at random moments of long commands: how they end, what is kept and left, and going on from there.

Run with: python benchmarks/signals.py [--rounds 100] [--kills 50] [--processes 1] [--only NAME ...] [--seed 0]
[--forked]. With --forked commands begin in a fork of a process that has imported all, which is several times as quick
and leaves out only what happens while Python imports; of several processes (torchrun) each begins anew. Each
round sends SIGINT, SIGTERM, SIGHUP or SIGUSR1 to each of the long commands at a random moment and looks at exit code,
time, what is said, processes, shared memory, locks and temporary files, and of a run at its state and checkpoint. Each
round of kills ends a run by SIGKILL once or twice, goes on to its end, and compares the student with that of an
undisturbed run, to the bit. Ends with 1 where anything was not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from kdcli.training.loop import checkpoint
from kdcli.weights import load_state

if TYPE_CHECKING:
    from forked import Forked, Starter

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
SECONDS = 5.0
"""Within which a command ends that was asked to; on a machine that is busy otherwise longer by as much as it is held up
there."""
START = """\
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from kdcli.cli import interrupt
interrupt.begin()
print("up", flush=True)
sys.argv = ["kdcli", *sys.argv[1:]]
from kdcli.__main__ import main
if __name__ == "__main__":
    main()
"""
RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "none"
export = "none"
loggers = "none"
[[stage]]
name = "fit"
train = "transform"
teachers = ["demo"]
data = "folder:photos"
size = "32x48"
batch_size = 4
workers = 1
steps = 8
[[stage]]
name = "main"
transform = "fitted"
teachers = ["demo"]
data = "folder:photos"
size = "32x48"
batch_size = 2
workers = 1
losses = { log-l1 = 1.0 }
steps = STEPS
checkpoint_every = 5
keep_checkpoints = 2
log_every = 1
"""
STUDY = """
[study]
name = "small"
about = "nothing, at length"
metrics = ["delta1"]
eval_data = "sim:rooms,count=2,seed=7"
seeds = [0, 1]
counts = [4]
reference = "plain"
set = { teacher = "demo", student = "mobilenet,width=0.35", size = "32x48", batch_size = 2, steps = 8, \
data = "sim:blocks,count={count}", checkpoint_every = 3, export = "none", loggers = "none" }
[[arm]]
name = "plain"
recipe = "plain"
"""
COMMANDS = {
    "distill": ("--recipe", "recipe.toml", "--out", "OUT", "--device", "cpu"),
    "eval": ("teacher:demo", "--data", "sim:blocks,count=80", "--csv", "OUT.csv", "--batch-size", "2"),
    "predict": ("teacher:demo", "photos", "--out", "OUT"),
    "cache": ("--teacher", "demo", "--data", "folder:photos", "--out", "OUT", "--workers", "1", "--batch-size", "1"),
    "mix": ("--data", "sim:blocks", "--mixer", "object", "--count", "256", "--size", "32x48", "--out", "OUT"),
    "study": ("study.toml", "--out", "OUT", "--jobs", "2", "--device", "cpu"),
    "study of one process": ("study.toml", "--out", "OUT", "--jobs", "1", "--device", "cpu"),
    "export": ("teacher:demo", "--out", "OUT.onnx", "--size", "32x48"),
}

STARTERS: dict[Path, Starter] = {}
"""By the folder that commands are started in: what they are forked of, where that is wanted."""


def prepared(folder: Path, steps: int = 24, photos: int = 8) -> Path:
    """Write a few photographs, a recipe and a study into a folder, in which commands are started."""
    (folder / "photos").mkdir(parents=True)
    (folder / "tmp").mkdir()
    generator = np.random.default_rng(0)
    for number in range(photos):
        pixels = generator.integers(0, 255, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    (folder / "recipe.toml").write_text(RECIPE.replace("STEPS", str(steps)))
    (folder / "study.toml").write_text(STUDY)
    return folder


def begin(
    folder: Path, out: str, *, command: str = "distill", resume: bool = False, processes: int = 1
) -> subprocess.Popen[str] | Forked:
    """Start a command, or go on with a run, in a session of its own; returns when it answers signals."""
    called = command.split()[0]
    words = ["--resume", out, "--device", "cpu"] if resume else [w.replace("OUT", out) for w in COMMANDS[command]]
    if processes == 1 and folder in STARTERS:
        return STARTERS[folder].begin([called, *words, "-q"])
    program = ["-c", START] if processes == 1 else [
        "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m", "kdcli",
    ]  # fmt: skip
    started = subprocess.Popen(
        [sys.executable, *program, called, *words, "-q"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=environment(folder),
    )
    assert processes > 1 or (started.stdout is not None and started.stdout.readline() == "up\n")
    return started


def environment(folder: Path) -> dict[str, str]:
    """Return what commands are started with."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "KDCLI_OFFLINE": "1", "TMPDIR": str(folder.resolve() / "tmp")}


def of_session(leader: int) -> list[int]:
    """Return the processes that are left of a session; those that ended and wait for their parent do not count."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader and words[0] != "Z":
            found.append(int(path.parent.name))
    return found


def at_work_on(folder: Path, run: str) -> list[int]:
    """Return the processes whose command names a run of a folder: torchrun starts each in a session of its own."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            named = f"\0{run}\0".encode() in (path / "cmdline").read_bytes()
            if named and (path / "cwd").readlink() == folder.resolve():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def shared_memory() -> set[str]:
    """Return the blocks of shared memory that PyTorch made for processes that are gone."""
    names = [path.name for path in Path("/dev/shm").glob("torch_*_*")]
    return {name for name in names if not Path("/proc", name.split("_")[1]).exists()}


def left(folder: Path, leader: int, run: str, patience: float = 0.0) -> list[str]:
    """Return in words what a command left behind that it should not; processes are given ``patience`` seconds."""
    end = time.monotonic() + patience
    while (alive := of_session(leader) + at_work_on(folder, run)) and time.monotonic() < end:
        time.sleep(0.1)
    told = [f"process {pid} is left" for pid in alive]
    own = [path for path in (folder / "tmp").iterdir() if not path.name.startswith(_OF_PYTORCH)]
    told += [f"{path.name} is left" for path in (*folder.rglob(".*"), *own)]
    return told + [f"shared memory {name} is left" for name in shared_memory() - _BEFORE]


_BEFORE = shared_memory()
_OF_PYTORCH = ("torchinductor_", "torchelastic_")
"""A folder that PyTorch keeps for the user, and those that torchrun leaves, killed or not."""


def signalled(
    folder: Path, out: str, name: str, delay: float, seconds: float, *, command: str = "distill"
) -> list[str]:
    """Send one signal to a command after a delay and return what was wrong with its end."""
    process = begin(folder, out, command=command)
    time.sleep(delay)
    process.send_signal(getattr(signal, name))
    asked = time.monotonic()
    try:
        _, told = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return ["it did not end"]
    took = time.monotonic() - asked
    wrong = [f"it took {took:.1f} s, of {seconds:.1f}"] if took > seconds else []
    wrong += [f"exit code {process.returncode}: {told[-300:]}"] if process.returncode not in (0, 130) else []
    wrong += [f"it said {told[-300:]!r}"] if process.returncode == 130 and told != "kdcli: interrupted\n" else []
    if command == "distill" and (folder / out).exists():
        wrong += _kept(folder / out, finished=process.returncode == 0)
    return wrong + left(folder, process.pid, out, 2.0)


def _kept(run: Path, *, finished: bool) -> list[str]:
    """Return what is wrong with the state of a run: every step that it logged is kept, and at most two more.

    A request that comes after the last word of a run, while its loggers close, ends the command, not the run.
    """
    state = json.loads((run / "manifest.json").read_text())["state"]
    wanted = ("finished",) if finished else ("interrupted", "finished")
    wrong = [f"its state is {state}"] if state not in wanted else []
    wrong += ["there is no student"] if state == "finished" and not (run / "student.safetensors").is_file() else []
    logged = run / "metrics.jsonl"
    steps = len(logged.read_text().splitlines()) if logged.is_file() else 0
    if not finished and steps and not (run / "student.safetensors").exists():
        kept = checkpoint.read(run / "checkpoints" / "state.pt")["step"]
        wrong += [f"step {steps} was logged, and {kept} is kept"] if not steps <= kept <= steps + 2 else []
    return wrong


def killed(folder: Path, run: str, delays: list[float], whole: Path, processes: int = 1) -> list[str]:
    """Kill a run after each delay, go on to its end, and return what was wrong with that."""
    wrong: list[str] = []
    leaders: list[int] = []
    for number in range(len(delays) + 1):
        process = begin(folder, run, resume=(folder / run / "manifest.json").is_file(), processes=processes)
        leaders.append(process.pid)
        if number < len(delays):
            try:
                process.wait(timeout=delays[number])
            except subprocess.TimeoutExpired:
                # Of one process its workers are left to find out; torchrun's are killed with it, as by a scheduler.
                process.kill() if processes == 1 else os.killpg(process.pid, signal.SIGKILL)
        try:
            _, told = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            for pid in (*of_session(process.pid), *at_work_on(folder, run)):
                os.kill(pid, signal.SIGKILL)
            return [*wrong, "it did not end"]
        if process.returncode not in (0, -signal.SIGKILL):
            return [*wrong, f"exit code {process.returncode}: {told[-300:]}"]
        manifest = folder / run / "manifest.json"
        if manifest.is_file() and json.loads(manifest.read_text())["state"] == "finished":
            break  # also where it was killed after all was done
    for leader in leaders:  # workers look every few seconds whether their parent is there
        wrong += left(folder, leader, run, 15.0)
    one, other = load_state(folder / run / "student.safetensors"), load_state(whole)
    same = one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())
    return wrong if same else [*wrong, "the student is not that of an undisturbed run"]


def undisturbed(folder: Path, out: str, *, command: str = "distill", processes: int = 1) -> tuple[Path, float]:
    """Do all of a command; return the student, of a run, and the seconds that it took."""
    begun = time.monotonic()
    process = begin(folder, out, command=command, processes=processes)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    return folder / out / "student.safetensors", time.monotonic() - begun


def _processor_seconds() -> float:
    """Return what the processes that have ended took of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + sum(starter.used for starter in STARTERS.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="of each signal, for each command")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1, help="of the runs that are killed")
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--forked", action="store_true", help="of a process that has imported all")
    given = parser.parse_args()
    draw, done, bad = random.Random(given.seed), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        folder = prepared(Path(place) / "work", photos=40)
        if given.forked:
            from forked import Starter

            STARTERS[folder] = Starter(folder, environment(folder))
        for command in given.only if given.rounds else ():
            before = _processor_seconds()
            _, took = undisturbed(folder, f"{command}-whole", command=command)
            held_up = max(1.0, took / (_processor_seconds() - before))
            print(f"{command}, undisturbed: {took:.1f} s, {held_up:.1f} times its processor time", flush=True)
            for number in range(given.rounds * len(SIGNALS)):
                name, delay = SIGNALS[number % len(SIGNALS)], draw.uniform(0, took)
                wrong = signalled(folder, f"{command}-{number}", name, delay, given.seconds * held_up, command=command)
                done[command] += 1
                bad[command] += bool(wrong)
                if wrong:
                    print(f"{command}, {name} after {delay:.2f} s: {'; '.join(wrong)}", flush=True)
            print(f"{command}: {done[command]} signals, {bad[command]} not as they should be", flush=True)
        if given.kills:
            whole, took = undisturbed(folder, "whole", processes=given.processes)
        for number in range(given.kills):
            delays = [draw.uniform(0, took) for _ in range(draw.choice((1, 2)))]
            wrong = killed(folder, f"k{number}", delays, whole, given.processes)
            bad["kills"] += bool(wrong)
            if wrong:
                told = ", ".join(f"{delay:.2f}" for delay in delays)
                print(f"SIGKILL after {told} s: {'; '.join(wrong)}", flush=True)
    print(f"{done.total()} signals, {given.kills} runs killed: {bad.total()} not as they should be")
    raise SystemExit(int(bad.total() > 0))


if __name__ == "__main__":
    main()
