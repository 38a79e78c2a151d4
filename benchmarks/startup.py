"""What it costs to start: kdcli beside a bare interpreter that imports Typer, which it stands on.

Run with: python benchmarks/startup.py [--rounds 15] [--most 1.6] [--first 0.3]. Two things are told of each call:
processor time of the whole process, and the wall time until its first line is there. In each round all calls are made
once, right after the bare interpreter's, so that a machine that grows busy slows both; a difference or ratio is taken
within each round, and its median counts, or what the fastest rounds say where that is less. Ends with 1 where help
costs more than ``--most`` times as much processor time, or the first line of any call comes more than ``--first``
seconds later, also in processor time: on a busy machine the wall time says what else went on there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

BASE = "import typer, typer.core; print('typer', flush=True)"
CALLS = ("--help", "--version", "distill --help", "eval --help", "study --help", "runs --help", "plugins list",
         "plugins list --json", "plugins list --kind teacher", "recipes list", "recipes show data-free", "runs list",
         "weights list", "eval --protocol list")
HELD = {"--help", "eval --help", "distill --help"}
"""Calls that are held to ``--most``; listings read files besides."""
RUNS = 20
"""Finished runs that ``runs list`` finds."""


def cost(arguments: list[str], folder: str, environment: dict[str, str]) -> tuple[float, float]:
    """Return the processor time of one process, and the wall time until its first line, in seconds."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-P", *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.readline()
        wall = time.perf_counter() - begin
        process.stdout.read()
    if process.returncode or not first:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode} and said {first!r}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def compile_plugins(environment: dict[str, str]) -> None:
    """Compile the packages that bring plugins, as their installation does."""
    points = [point for each in distributions() for point in each.entry_points if point.group.startswith("kdcli.")]
    tops = {point.value.partition(":")[0].partition(".")[0] for point in points}
    folders = [where for top in tops if (found := find_spec(top)) for where in found.submodule_search_locations or ()]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], env=environment, check=True)


def make_runs(folder: str) -> None:
    """Write manifests of runs that are finished."""
    for i in range(RUNS):
        run = Path(folder, "runs", f"run{i:02}")
        run.mkdir(parents=True)
        manifest = {"state": "finished", "recipe": "data-free", "student": "mobilenet", "teachers": [{"spec": "demo"}]}
        (run / "manifest.json").write_text(json.dumps(manifest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--most", type=float, default=1.6)
    parser.add_argument("--first", type=float, default=0.3)
    given = parser.parse_args()
    bare, commands = ["-c", BASE], {call: ["-m", "kdcli", *call.split()] for call in CALLS}
    pairs: dict[str, list[tuple[tuple[float, float], tuple[float, float]]]] = {call: [] for call in CALLS}
    with tempfile.TemporaryDirectory() as folder:
        make_runs(folder)
        # As an installed package is: compiled once. Here, since where this runs nothing may be written beside sources.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "compiled"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        compile_plugins(environment)
        for arguments in (bare, *commands.values()):
            cost(arguments, folder, environment)
        for _ in range(given.rounds):
            for call, arguments in commands.items():
                pairs[call].append((cost(bare, folder, environment), cost(arguments, folder, environment)))
    least = min(base[0] for rows in pairs.values() for base, _ in rows)
    soonest = min(base[1] for rows in pairs.values() for base, _ in rows)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {given.rounds} rounds")
    print(f"bare interpreter with typer: {least * 1e3:.0f} ms of processor time, a line after {soonest * 1e3:.0f} ms")
    print(f"{'':28} {'processor':>10} {'ratio':>6} {'paired':>7} {'more':>9} {'first line':>11} {'later by':>9} "
          f"{'paired':>8}")
    over = []
    for call, rows in pairs.items():
        cpu, wall = min(own[0] for _, own in rows), min(own[1] for _, own in rows)
        ratio, later = cpu / least, wall - soonest
        paired = statistics.median(own[0] / base[0] for base, own in rows)
        more = min(cpu - least, statistics.median(own[0] - base[0] for base, own in rows))
        apart = statistics.median(own[1] - base[1] for base, own in rows)
        print(f"{call:28} {cpu * 1e3:7.0f} ms {ratio:6.2f} {paired:7.2f} {more:+7.3f} s {wall * 1e3:8.0f} ms "
              f"{later:+8.3f} s {apart:+6.3f} s")
        if call in HELD and min(ratio, paired) > given.most:
            over.append(f"{call}: more than {given.most:g} times the processor time")
        if min(later, apart, more) > given.first:
            over.append(f"{call}: its first line more than {given.first:g} s later")
    if over:
        raise SystemExit("\n".join(over))


if __name__ == "__main__":
    main()
