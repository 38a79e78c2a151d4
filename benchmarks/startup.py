"""What it costs to start: processor time of kdcli beside that of importing Typer, which it stands on.

Run with: python benchmarks/startup.py [--rounds 15] [--most 1.6]. Ends with 1 where help costs more than ``--most``
times as much. Processes are started in turn, so that a machine that grows busy slows all of them; the least of all
rounds is what a quiet machine would take, and the ratio is taken within each round as well.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

BASE = "import typer, typer.core"
CALLS = (("--help",), ("--version",), ("eval", "--help"), ("distill", "--help"), ("study", "--help"),
         ("plugins", "list"), ("plugins", "list", "--json"))
HELD = {("--help",), ("eval", "--help"), ("distill", "--help")}
"""Calls that are held to ``--most``; listings read files besides."""


def cost(arguments: list[str]) -> tuple[float, float]:
    """Return processor and wall time of one process, in seconds."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-P", *arguments], capture_output=True, check=True)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--most", type=float, default=1.6)
    given = parser.parse_args()
    commands = {"import typer": ["-c", BASE], **{" ".join(call): ["-m", "kdcli", *call] for call in CALLS}}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for command in commands.values():
        cost(command)  # compiled files and the disk's cache
    for _ in range(given.rounds):
        for name, command in commands.items():
            spent[name].append(cost(command))
    base = [cpu for cpu, _ in spent["import typer"]]
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {given.rounds} rounds")
    print(f"{'':24} {'least cpu':>10} {'ratio':>6} {'median ratio':>13} {'least wall':>11}")
    over = []
    for name, times in spent.items():
        cpu, wall = min(c for c, _ in times), min(w for _, w in times)
        ratio = cpu / min(base)
        paired = statistics.median(c / b for (c, _), b in zip(times, base, strict=True))
        print(f"{name:24} {cpu * 1e3:7.0f} ms {ratio:6.2f} {paired:13.2f} {wall * 1e3:8.0f} ms")
        if tuple(name.split()) in HELD and min(ratio, paired) > given.most:
            over.append(name)
    if over:
        raise SystemExit(f"more than {given.most:g} times an import of typer: {', '.join(over)}")


if __name__ == "__main__":
    main()
