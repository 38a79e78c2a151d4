"""What every arm of the study costs beside plain distillation: seconds of a step, of the whole run, and peak memory.

python plugins/kdcli-zoo/benchmarks/cost.py [--arms kdiga similarity] [--rounds 3] [--set size=64x96 ...]
    [--out cost.json]

Numbers are of pairs of processes, one after the other: one does real steps of ``plain`` alone and one of the arm
(``kdcli study zoo-mini --dry-run``; whoever comes second in a process finds it warm), and the median of the pairs'
ratios counts. ``step`` is a step of the student's own stage; ``run`` all steps of all stages that train a network, of
the run as the study has it. Memory is a process's peak resident set less that of one which trains plain at 64x96 with
one image a batch; in that are the interpreter, the libraries and the networks. The same command goes on where it was
stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

STUDY, PLAIN = "zoo-mini", "plain"
IDLE = ("size=64x96", "batch_size=1")


def main() -> None:
    """Measure all arms and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    settings, kept = tuple(arguments.settings), _kept(arguments.out)
    rows: dict[str, Any] = {row["arm"]: row for row in kept.get("rows", []) if kept.get("set") == list(settings)}
    idle = kept["idle_mib"] if rows else max(_memory(_dry(PLAIN, IDLE)) for _ in range(2))
    for arm in arguments.arms or [name for name in _arms() if name != PLAIN]:
        if arm in rows:
            continue
        pairs = [(_dry(PLAIN, settings), _dry(arm, settings)) for _ in range(arguments.rounds)]
        rows[arm] = {
            "arm": arm,
            "step": round(statistics.median(_step(own) / _step(plain) for plain, own in pairs), 3),
            "run": round(statistics.median(own["seconds"] / plain["seconds"] for plain, own in pairs), 3),
            "seconds_per_step": round(statistics.median(_step(own) for _, own in pairs), 4),
            "plain_seconds_per_step": round(statistics.median(_step(plain) for plain, _ in pairs), 4),
            "memory": round(statistics.median(_held(own, idle) / _held(plain, idle) for plain, own in pairs), 3),
            "mib": round(statistics.median(_held(own, idle) for _, own in pairs)),
            "teacher_images": pairs[0][1]["teacher_images"],
        }
        say(f"{arm:24} step {rows[arm]['step']:6.2f}  run {rows[arm]['run']:6.2f}  memory {rows[arm]['memory']:6.2f}")
        if arguments.out is not None:
            told = {"set": list(settings), "rounds": arguments.rounds, "idle_mib": round(idle)}
            document = {**told, "rows": list(rows.values())}
            arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _arms() -> list[str]:
    """Return the arms of the study, in its order."""
    done = _kdcli(["study", STUDY, "--dry-run", "--json", "--seeds", "0", "--set", "steps=8"])
    return list(dict.fromkeys(_arm(cell) for cell in done["cells"]))


def _dry(arm: str, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return what the dry run says of an arm, measured in a process of its own."""
    sets = [word for text in settings for word in ("--set", text)]
    done = _kdcli(["study", STUDY, "--dry-run", "--json", "--seeds", "0", "--only", arm, *sets])
    cell: dict[str, Any] = done["cells"][0]
    return cell


def _kdcli(words: list[str]) -> dict[str, Any]:
    # Freed blocks of this size go back to the system at once, so that the peak is of what is held.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**18)}
    done = subprocess.run(
        [sys.executable, "-m", "kdcli", *words, "--out", os.devnull + "-none"], stdout=subprocess.PIPE, text=True,
        check=True, env=environment,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _arm(cell: dict[str, Any]) -> str:
    return str(Path(cell["run"]).parent.name)


def _step(cell: dict[str, Any]) -> float:
    return float(cell["stages"][-1]["seconds_per_step"])


def _memory(cell: dict[str, Any]) -> float:
    return float(max(stage["memory_mib"] for stage in cell["stages"]))


def _held(cell: dict[str, Any], idle: float) -> float:
    return _memory(cell) - idle


def _kept(path: Path | None) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else {}


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
