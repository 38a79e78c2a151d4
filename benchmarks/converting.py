"""What converting saves: images a second through the feed of training, of a set as it came and of conversions of it.

python benchmarks/converting.py [--data SPEC] [--size 240x320] [--count 64] [--batch-size 8] [--rounds 7]
    [--out docs/results/converting.json]

Without ``--data`` the set is made here: JPEG of 480x640 beside 16-bit PNG of the same size, as a depth camera's
recording has them. Ways take turns, batch by batch, on one thread; times are the processor's own, so that other
programs count little. What an image takes on the disk and to convert is said as well.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kdcli.convert import Asked, convert
from kdcli.plugins import registry
from kdcli.sources import load_source
from kdcli.spec import parse_size
from kdcli.training.batches.feed import Feed

WAYS: dict[str, dict[str, Any]] = {
    "shards, JPEG and PNG": {"layout": "shards"},
    "shards, JPEG and NPY": {"layout": "shards", "depth": "npy"},
    "shards, PNG and PNG": {"layout": "shards", "image": "png"},
    "folders, JPEG and PNG": {"layout": "folder"},
    "folders, JPEG and NPY": {"layout": "folder", "depth": "npy"},
}


def recording(root: Path, count: int) -> str:
    """Make images of soft shapes with some noise, and depth of planes with noise and holes."""
    draws = np.random.default_rng(0)
    down, across = np.mgrid[0:480, 0:640]
    for folder in ("rgb", "depth"):
        (root / folder).mkdir(parents=True)
    for i in range(count):
        shapes = Image.fromarray(draws.integers(0, 256, (12, 16, 3), np.uint8))
        soft = np.asarray(shapes.resize((640, 480), Image.Resampling.BICUBIC))
        noisy = soft + draws.normal(0, 6, (480, 640, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / "rgb" / f"{i:05}.jpg", quality=92)
        depth = 800 + (3 + i % 5) * across + 2.5 * down + draws.normal(0, 4, (480, 640))
        depth[draws.random((60, 80)).repeat(8, 0).repeat(8, 1) < 0.1] = 0
        Image.fromarray(depth.astype(np.uint16)).save(root / "depth" / f"{i:05}.png")
    return f"rgbd:{root}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    size = parse_size(given.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = given.data or recording(folder / "recording", given.count)
        specs, disk, took = {"as it came": data}, dict[str, float](), dict[str, float]()
        for way, wishes in WAYS.items():
            out = folder / way.replace(", ", "-").replace(" ", "-")
            begin = time.process_time()
            report = convert(Asked(data=data, size=size, **wishes), out, limit=given.count, workers=0)
            took[way] = (time.process_time() - begin) / report.images
            disk[way] = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / report.images
            if report.spec.partition(":")[0] in registry.names("source"):
                specs[way] = report.spec
        times = measured(specs, size, given)
    shared = {
        "size": given.size, "batch_size": given.batch_size, "rounds": given.rounds, "threads": 1, "device": "cpu",
        "torch": torch.__version__,
    }
    first = statistics.median(times["as it came"])
    rows = [
        {"what": way, **shared, "other_ms": first, "ours_ms": statistics.median(ours),
         "ratio": first / statistics.median(ours)}
        for way, ours in times.items() if way != "as it came"
    ]
    for row in rows:
        print(f"{row['what']}: {1000 / row['ours_ms']:.0f} images a second, {1000 / first:.0f} as it came, "
              f"{row['ratio']:.2f} times as fast; {disk[row['what']] / 1e3:.0f} kB an image, "
              f"converted in {1000 * took[row['what']]:.1f} ms")
    if given.out is not None:
        given.out.write_text(json.dumps({"ratios": rows}, indent=1) + "\n")


def measured(specs: dict[str, str], size: tuple[int, int], given: argparse.Namespace) -> dict[str, list[float]]:
    """Return milliseconds an image of each way, one number a round."""
    feeds = {
        way: Feed(load_source(spec), batch_size=given.batch_size, size=size, seed=0, device=torch.device("cpu"))
        for way, spec in specs.items()
    }
    steps = max(given.count // given.batch_size, 1)
    times: dict[str, list[float]] = {way: [] for way in feeds}
    for number in range(given.rounds + 1):
        spent = dict.fromkeys(feeds, 0.0)
        coming = {way: feed.batches(0, steps) for way, feed in feeds.items()}
        for _ in range(steps):
            for way, batches in coming.items():
                begin = time.process_time()
                next(batches)
                spent[way] += time.process_time() - begin
        if number:  # the first round finds cold caches
            for way, seconds in spent.items():
                times[way].append(1000 * seconds / (steps * given.batch_size))
    return times


if __name__ == "__main__":
    main()
