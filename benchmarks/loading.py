"""What data costs before training: opening folders and lists of many files, and decoding photographs for a stage.

python benchmarks/loading.py [--before CHECKOUT] [--count 100000] [--rounds 3] [--images 64] [--size 240x320]
    [--out docs/results/loading.json]

Files are empty and lie in a temporary folder. Each opening is a process of its own that has imported everything before;
with ``--before`` the same is done in turn with the package of another checkout, such as one of an earlier commit. Times
are of the processor, the least of all rounds; bytes are what an opened source of a tenth of the images holds on to, as
Python counts them. Photographs of 480 x 640 are decoded and brought to size with and without the stage's key
``reduce``, batch by batch in turn, one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import PIL
import torch
from PIL import Image

from kdcli.sources import load_source
from kdcli.spec import parse_size
from kdcli.training.batches.decoding import decoded

PROBE = """
import gc, json, sys, time, tracemalloc
from kdcli.sources import load_source
small, spec, traced = sys.argv[1:]
load_source(small)
gc.collect()
if traced == "yes":
    tracemalloc.start()
begin = time.process_time()
source = load_source(spec)
seconds = time.process_time() - begin
gc.collect()
held = tracemalloc.get_traced_memory()[0]
print(json.dumps({"images": len(source), "seconds": seconds, "held": held}))
"""
SCENES = 100
BATCH = 16


def tree(root: Path, count: int) -> dict[str, str]:
    """Make folders and a list of so many images; return the spec of each way to open them."""
    for folder, ending in (("images", "jpg"), ("depth", "png")):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            touch(root / folder / f"{i:06d}.{ending}")
    lines = []
    scenes = min(SCENES, count)
    for scene in range(scenes):
        (root / "scenes" / f"scene_{scene:04d}").mkdir(parents=True)
        for i in range(count // scenes):
            image, depth = (f"scene_{scene:04d}/{name}" for name in (f"rgb_{i:05d}.jpg", f"sync_depth_{i:05d}.png"))
            touch(root / "scenes" / image)
            touch(root / "scenes" / depth)
            lines.append(f"{image} {depth} 518.8579\n")
    (root / "list.txt").write_text("".join(lines))
    return {
        "folder of images": f"folder:{root}/images",
        "folder of images, depth beside it": f"folder:{root}/images,depths={root}/depth",
        "folders `images` and `depth`, as `rgbd:`": f"rgbd:{root}",
        "folders of scenes, as `nyu:`": f"nyu:{root}/scenes",
        "list of images and depth": f"nyu:{root}/scenes,list={root}/list.txt",
    }


def touch(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def opened(package: Path, small: str, spec: str, *, traced: bool = False) -> dict[str, Any]:
    """Open a source in a process of its own, with the package of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [sys.executable, "-P", "-c", PROBE, small, spec, "yes" if traced else "no"], env=environment, check=True,
        capture_output=True, text=True,
    )
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def opening(given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure opening, one row for each way."""
    here = Path(__file__).resolve().parents[1]
    packages = {"now": here} | ({"before": given.before.resolve()} if given.before else {})
    counts = {"one": 1, "few": max(given.count // 10, 1), "many": given.count}
    warming, few, many = (tree(folder / name, count) for name, count in counts.items())
    rows = []
    for what, spec in many.items():
        warm = warming[what]
        seconds: dict[str, list[float]] = {name: [] for name in packages}
        for _ in range(given.rounds):
            for name, package in packages.items():
                seconds[name].append(opened(package, warm, spec)["seconds"])
        row: dict[str, Any] = {"what": what, "seconds": {name: min(times) for name, times in seconds.items()}}
        for name, package in packages.items():
            found = opened(package, warm, few[what], traced=True)
            row.setdefault("held", {})[name] = found["held"] / found["images"]
        row["images"] = given.count
        if given.before:
            row["ratio"] = row["seconds"]["now"] / row["seconds"]["before"]
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def photographs(folder: Path, count: int) -> str:
    """Write rendered rooms as JPEG files, 480 x 640; return their spec."""
    folder.mkdir()
    source: Any = load_source("sim:rooms,count=8,seed=5")
    for i in range(count):
        image = source.batch([i % 8], (480, 640), "cpu").image[0] if i < 8 else None
        path = folder / f"{i:04d}.jpg"
        if image is None:
            path.write_bytes((folder / f"{i % 8:04d}.jpg").read_bytes())
        else:
            Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path, quality=90)
    return f"folder:{folder}"


def decoding(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure the way from files to batches, whole and at reduced size in turn."""
    source, size = load_source(photographs(folder / "photographs", given.images)), parse_size(given.size)
    chosen = [range(at, min(at + BATCH, given.images)) for at in range(0, given.images, BATCH)]
    times: dict[bool, list[float]] = {False: [], True: []}
    images: dict[bool, torch.Tensor] = {}
    for number in range(given.rounds + 1):
        for indices in chosen:
            for reduce in times:
                begin = time.process_time()
                batch = next(decoded(source, [indices], size, device=torch.device("cpu"), reduce=reduce))
                if number:  # the first round warms up
                    times[reduce].append((time.process_time() - begin) / len(indices))
                images[reduce] = batch.image
    whole, reduced = (1000 * statistics.median(times[reduce]) for reduce in (False, True))
    away = (images[True] - images[False]).abs()
    row = {
        "size": given.size, "whole_ms": whole, "reduced_ms": reduced, "ratio": reduced / whole,
        "mean_difference": 255 * float(away.mean()), "largest_difference": 255 * float(away.max()),
    }
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "decoding": decoding(given, folder), "opening": opening(given, folder), "rounds": given.rounds,
            "python": sys.version.split()[0], "torch": torch.__version__, "pillow": PIL.__version__,
        }
    if given.out is not None:
        given.out.write_text(json.dumps({"loading": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
