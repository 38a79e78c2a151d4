"""The job of one's own photographs with this build and with another one: whole commands, in turn, on the same machine.

python benchmarks/own_images.py --before CHECKOUT --teacher run:RUN --data folder:PHOTOS --eval-data rgbd:DIR,start=150
    [--student mobilenet] [--steps 300] [--batch-size 8] [--size 192x256] [--rounds 3] [--threads 2]
    [--recipe-before plain] [--recipe own-images] [--most 0.6] [--out FILE.json]

CHECKOUT is a working tree of the other build, whose dependencies this Python has. Each round is one seed: first one
build then the other, in the next round the other way about, so that a machine that grows busy slows both. What counts
is the command as a user gives it, from start-up to the report and the exported student. Ends with 1 where the median
ratio of wall times is above ``--most``, or delta1 is lower by more than its standard error over the rounds.
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
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]


def run(tree: Path, recipe: str, seed: int, given: argparse.Namespace, out: Path) -> dict[str, float]:
    """Run the job with the build of a tree and return its seconds and the student's delta1."""
    command = [
        sys.executable, "-P", "-m", "kdcli", "distill", "--recipe", recipe, "--teacher", given.teacher, "--student",
        given.student, "--data", given.data, "--eval-data", given.eval_data, "--steps", str(given.steps),
        "--batch-size", str(given.batch_size), "--size", given.size, "--seed", str(seed), "--out", str(out), "--json",
    ]
    threads, known = str(given.threads), filter(None, [os.environ.get("PYTHONPATH")])
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(tree), *known]),
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
    }
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    told = told.get("result", told)
    return {
        "wall": wall, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "delta1": told["eval"]["student"]["metrics"]["delta1"],
        "teacher": told["eval"]["teacher"]["metrics"]["delta1"],
    }


def rounds(given: argparse.Namespace) -> list[dict[str, dict[str, float]]]:
    builds = {"before": (given.before.resolve(), given.recipe_before), "now": (HERE, given.recipe)}
    found: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.rounds):
            order = list(builds) if number % 2 == 0 else list(reversed(builds))
            row = {}
            for name in order:
                tree, recipe = builds[name]
                row[name] = run(tree, recipe, number, given, Path(folder) / f"{name}-{number}")
                one = row[name]
                print(f"round {number} {name:6}  wall {one['wall']:7.1f} s  processor {one['cpu']:7.1f} s  "
                      f"delta1 {one['delta1']:.4f} (teacher {one['teacher']:.4f})", flush=True)
            found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("teacher", "data", "eval-data"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--student", default="mobilenet")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--recipe-before", default="plain")
    parser.add_argument("--recipe", default="own-images")
    parser.add_argument("--most", type=float, default=0.6)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = rounds(given)
    ratios = {key: [row["now"][key] / row["before"][key] for row in found] for key in ("wall", "cpu")}
    gains = [row["now"]["delta1"] - row["before"]["delta1"] for row in found]
    gain = statistics.mean(gains)
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    for key, name in (("wall", "wall time"), ("cpu", "processor time")):
        print(f"{name}, now / before: median {statistics.median(ratios[key]):.3f}, "
              f"of {', '.join(f'{value:.3f}' for value in ratios[key])}")
    print(f"delta1, now - before: mean {gain:+.4f}, standard error {error:.4f}")
    if given.out:
        document = {
            "what": vars(given) | {"before": str(given.before)}, "rounds": found,
            "ratio": {key: statistics.median(values) for key, values in ratios.items()}, "gain": gain, "error": error,
        }
        document["what"].pop("out")
        given.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if statistics.median(ratios["wall"]) > given.most:
        raise SystemExit(f"more than {given.most:g} times the wall time")
    if gain < -error:
        raise SystemExit("delta1 is lower")


if __name__ == "__main__":
    main()
