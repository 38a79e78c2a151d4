"""Signals and kills at random moments of a small run: how it ends, what is kept, what is left, and going on from there.

Run with: python benchmarks/signals.py [--rounds 100] [--kills 50] [--seed 0]. Each round of signals starts a run, sends
one of SIGINT, SIGTERM, SIGHUP, SIGUSR1 at a random moment, and looks at the exit code, the checkpoint, processes and
temporary files. Each round of kills ends a run by SIGKILL once or twice, goes on to its end, and compares the student
with that of an undisturbed run, to the bit. Ends with 1 where anything was not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kdcli.training.loop import checkpoint
from kdcli.weights import load_state

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
SECONDS = 5.0
"""Within which a run ends that was asked to; more on a machine that is busy otherwise: --seconds."""
START = """\
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from kdcli.cli import interrupt
interrupt.begin()
print("up", flush=True)
sys.argv = ["kdcli", *sys.argv[1:]]
from kdcli.__main__ import main
main()
"""
RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "none"
export = "none"
loggers = "none"
[[stage]]
name = "main"
teachers = ["demo"]
data = "folder:photos"
size = "32x48"
batch_size = 2
workers = 1
losses = { log-l1 = 1.0 }
steps = STEPS
checkpoint_every = 7
keep_checkpoints = 2
log_every = 1
"""


def prepared(folder: Path, steps: int = 60) -> Path:
    """Write a few photographs and a recipe into a folder, in which runs are started."""
    (folder / "photos").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(8):
        pixels = generator.integers(0, 255, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    (folder / "recipe.toml").write_text(RECIPE.replace("STEPS", str(steps)))
    return folder


def begin(folder: Path, run: str, *, resume: bool = False) -> subprocess.Popen[str]:
    """Start a run, or go on with it, in a session of its own; returns when it answers signals."""
    words = ["--resume", run] if resume else ["--recipe", "recipe.toml", "--out", run]
    process = subprocess.Popen(
        [sys.executable, "-c", START, "distill", *words, "--device", "cpu", "-q"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "KDCLI_OFFLINE": "1"},
    )
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    return process


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


def left(folder: Path, leader: int, patience: float = 0.0) -> list[str]:
    """Return in words what a run left behind that it should not; processes are given ``patience`` seconds."""
    end = time.monotonic() + patience
    while (alive := of_session(leader)) and time.monotonic() < end:
        time.sleep(0.1)
    told = [f"process {pid} is left" for pid in alive]
    told += [f"{path.name} is left" for path in folder.rglob(".*")]
    return told + [f"{path} is left" for path in Path("/dev/shm").glob(f"torch_{leader}_*")]


def signalled(folder: Path, run: str, name: str, delay: float, seconds: float) -> list[str]:
    """Send one signal to a run after a delay and return what was wrong with its end."""
    process = begin(folder, run)
    time.sleep(delay)
    process.send_signal(getattr(signal, name))
    asked = time.monotonic()
    try:
        _, told = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        return ["it did not end"]
    took = time.monotonic() - asked
    wrong = [f"it took {took:.1f} s"] if took > seconds else []
    wrong += [f"exit code {process.returncode}: {told[-300:]}"] if process.returncode not in (0, 130) else []
    wrong += [f"it said {told[-300:]!r}"] if "Traceback" in told or told.count("\n") > 2 else []
    path = folder / run
    if not path.exists():
        return wrong + left(folder, process.pid, 2.0)
    manifest = json.loads((path / "manifest.json").read_text())
    wanted = "finished" if process.returncode == 0 else "interrupted"
    wrong += [f"its state is {manifest['state']}"] if manifest["state"] != wanted else []
    logged = path / "metrics.jsonl"
    steps = len(logged.read_text().splitlines()) if logged.is_file() else 0
    if wanted == "interrupted" and steps and not (path / "student.safetensors").exists():
        kept = checkpoint.read(path / "checkpoints" / "state.pt")["step"]
        wrong += [f"step {steps} was logged, and {kept} is kept"] if not steps <= kept <= steps + 2 else []
    return wrong + left(folder, process.pid, 2.0)


def killed(folder: Path, run: str, delays: list[float], whole: Path) -> list[str]:
    """Kill a run after each delay, go on to its end, and return what was wrong with that."""
    wrong: list[str] = []
    leaders: list[int] = []
    for number in range(len(delays) + 1):
        process = begin(folder, run, resume=(folder / run / "manifest.json").is_file())
        leaders.append(process.pid)
        if number < len(delays):
            try:
                process.wait(timeout=delays[number])
            except subprocess.TimeoutExpired:
                process.kill()
        _, told = process.communicate(timeout=600)
        if process.returncode not in (0, -signal.SIGKILL):
            return [*wrong, f"exit code {process.returncode}: {told[-300:]}"]
        manifest = folder / run / "manifest.json"
        if manifest.is_file() and json.loads(manifest.read_text())["state"] == "finished":
            break  # also where it was killed after all was done
    for leader in leaders:
        wrong += left(folder, leader, 15.0)  # workers look every few seconds whether their parent is there
    one, other = load_state(folder / run / "student.safetensors"), load_state(whole)
    same = one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())
    return wrong if same else [*wrong, "the student is not that of an undisturbed run"]


def undisturbed(folder: Path, run: str) -> tuple[Path, float]:
    """Do a run to its end; return its student and the seconds that it took."""
    begun = time.monotonic()
    process = begin(folder, run)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    return folder / run / "student.safetensors", time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    draw, bad = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory() as place:
        folder = prepared(Path(place) / "work")
        whole, took = undisturbed(folder, "whole")
        print(f"undisturbed: {took:.1f} s", flush=True)
        for number in range(given.rounds):
            name, delay = SIGNALS[number % len(SIGNALS)], draw.uniform(0, took)
            wrong = signalled(folder, f"s{number}", name, delay, given.seconds)
            bad += bool(wrong)
            print(f"{name} after {delay:.2f} s: {'; '.join(wrong) or 'as it should be'}", flush=True)
        for number in range(given.kills):
            delays = [draw.uniform(0, took) for _ in range(draw.choice((1, 2)))]
            wrong = killed(folder, f"k{number}", delays, whole)
            bad += bool(wrong)
            told = ", ".join(f"{delay:.2f}" for delay in delays)
            print(f"SIGKILL after {told} s: {'; '.join(wrong) or 'the same student'}", flush=True)
    print(f"{given.rounds} signals, {given.kills} runs killed: {bad} not as they should be")
    raise SystemExit(int(bad > 0))


if __name__ == "__main__":
    main()
