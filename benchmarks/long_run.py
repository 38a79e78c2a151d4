"""Whether a long run stays as it began: memory, threads and open files of a run of many small steps.

Run with: python benchmarks/long_run.py [--steps 5000] [--most-mib 16] [--logger SPEC]. Prints what the process held at
tenths of the run; ends with 1 where it grew by more than ``--most-mib`` from the third tenth to the last, or by one
thread or file.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from kdcli.config import load
from kdcli.training.loop.train import StepLog
from kdcli.training.run.job import distill
from kdcli.training.run.progress import Silent

RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "none"
export = "none"
[[stage]]
name = "main"
teachers = ["ground-truth"]
data = "sim:blocks,count=16"
size = "32x48"
batch_size = 2
losses = { l1 = 1.0 }
steps = 1
ema = 0.9
checkpoint_every = 50
keep_checkpoints = 3
log_every = 1
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What the process held after a step."""

    step: int
    mib: float
    threads: int
    files: int


class Watching(Silent):
    """Looks at the process every so many steps."""

    def __init__(self, every: int) -> None:
        self._every, self.rows = every, list[Held]()

    def step(self, log: StepLog) -> None:
        """Look."""
        if log.step % self._every == 0:
            self.rows.append(held(log.step))


def held(step: int) -> Held:
    """Return what this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(list(Path("/proc/self/task").iterdir()))
    files = len(list(Path("/proc/self/fd").iterdir())) - 1  # the folder itself is open as it is read
    return Held(step, pages * resource.getpagesize() / 2**20, threads, files)


def watched(steps: int, folder: Path, loggers: tuple[str, ...] = ()) -> list[Held]:
    """Do a run and return what the process held at each tenth of it."""
    watching = Watching(max(steps // 10, 1))
    distill(load("long", RECIPE, {"steps": steps}), out=folder, progress=watching, loggers=loggers)
    return watching.rows


def grown(rows: list[Held]) -> Held:
    """Return by how much it grew after the third tenth, by which all that is made once has been made."""
    begin, end = rows[2], rows[-1]
    return Held(end.step - begin.step, end.mib - begin.mib, end.threads - begin.threads, end.files - begin.files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--most-mib", type=float, default=16)
    parser.add_argument("--logger", action="append", default=[])
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        rows = watched(given.steps, Path(place) / "run", tuple(given.logger))
    for row in rows:
        print(f"step {row.step:6}: {row.mib:7.1f} MiB, {row.threads} threads, {row.files} open files")
    more = grown(rows)
    print(f"in the last {more.step} steps: {more.mib:+.1f} MiB, {more.threads:+} threads, {more.files:+} open files")
    raise SystemExit(int(more.mib > given.most_mib or more.threads > 0 or more.files > 0))


if __name__ == "__main__":
    main()
