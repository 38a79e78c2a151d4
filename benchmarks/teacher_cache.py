"""What keeping the teacher's depth saves: whole runs with the teacher asked in every step, and with a teacher cache.

python benchmarks/teacher_cache.py [--teacher bts] [--student mobilenet] [--size 192x256] [--count 24] [--epochs 2]
    [--batch-size 4] [--rounds 3] [--device auto] [--out docs/results/teacher-cache.json]

Each round trains the same run three times: without a cache, with one that has to be made, with one that is there.
Weights of the teacher are drawn at random: time does not depend on them. Times are of the stage alone, reading of maps
included, on a CPU in its own seconds; the last line is what a map takes on the disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from kdcli.config import load
from kdcli.devices import choose
from kdcli.plugins import registry
from kdcli.recipes import read
from kdcli.spec import parse_size
from kdcli.students.files import save_student
from kdcli.training.batches.teacher_cache import make
from kdcli.training.loop import train as loop
from kdcli.training.run.workshop import Workshop


def train(given: argparse.Namespace, teacher: Path, cache: str, folder: Path) -> float:
    """Train one stage, its cache included, and return the seconds."""
    device = choose(given.device)
    flags = {
        "teachers": (f"run:{teacher}",), "student": given.student, "size": parse_size(given.size),
        "batch_size": given.batch_size, "data": f"sim:rooms,count={given.count}", "epochs": given.epochs,
        "eval_data": "none",
    }
    shop = Workshop(config=load(*read("plain"), flags, [f"teacher_cache={cache}"]), device=device)
    stage, (student, _) = shop.config.main, shop.student()
    kept = shop.taught(stage)
    feed, task = shop.feed(stage, kept), shop.task(stage, student, None)
    list(shop.feed(stage).batches(0, feed.steps_per_epoch))  # rendering is no part of it
    # On a CPU its own seconds: other processes do not count.
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    begin = clock()
    if kept is not None:
        make(kept, stage, feed, lambda *_: None)
    loop.train(
        stage, task, feed, seed=0, state_file=folder / "state.pt", variant="student", report=lambda log: None
    )
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bts")
    parser.add_argument("--student", default="mobilenet")
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    times: dict[str, list[float]] = {"live": [], "made": [], "there": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = registry.build("student", given.teacher)
        save_student(folder / "teacher.safetensors", network, network.architecture, {})
        del network
        for number in range(given.rounds):
            cache = str(folder / f"cache{number}")
            for way, where in (("live", "none"), ("made", cache), ("there", cache)):
                times[way].append(train(given, folder / "teacher.safetensors", where, folder))
        maps = [file.stat().st_size for file in (folder / "cache0" / "maps").rglob("*.png")]
    device = choose(given.device)
    shared = {
        "size": given.size, "batch_size": given.batch_size, "rounds": given.rounds, "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu", "torch": torch.__version__,
    }
    shown = given.count * given.epochs
    rows: list[dict[str, Any]] = []
    for way, text in (("made", "cache made in this run"), ("there", "cache there before")):
        live, kept = statistics.median(times["live"]), statistics.median(times[way])
        rows.append({
            "what": f"{given.teacher} asked in each step of {given.epochs} epochs; {text}", **shared,
            "other_ms": 1000 * live / shown, "ours_ms": 1000 * kept / shown, "ratio": live / kept,
        })
        print(f"{rows[-1]['what']}: {live:.2f} s, with the cache {kept:.2f} s, {live / kept:.2f} times as fast")
    height, width = parse_size(given.size)
    print(f"a map takes {statistics.mean(maps):.0f} bytes, of {2 * height * width} that it would take unpacked")
    if given.out is not None:
        given.out.write_text(json.dumps({"ratios": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
