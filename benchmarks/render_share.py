"""How much of a distillation step the simulator takes: rendering anew and from the cache, as ratios to one step.

python benchmarks/render_share.py [--size 64x96] [--batch-size 16] [--device cpu] [--rounds 8]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from kdcli.config import load
from kdcli.devices import choose
from kdcli.recipes import read
from kdcli.spec import parse_size
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.run.workshop import Workshop


def median_seconds(job: Callable[[int], object], rounds: int, device: torch.device) -> float:
    times = []
    for i in range(rounds + 1):
        begin = time.perf_counter()
        job(i)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])  # the first one warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="64x96")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    device, size = choose(given.device), parse_size(given.size)
    name, text = read("plain")
    shop = Workshop(config=load(name, text, {"size": size, "batch_size": given.batch_size}), device=device)
    student, _ = shop.student()
    stage = shop.config.main
    task = shop.task(stage, student, None)
    task.student.train()
    kept = next(shop.feed(stage).batches(0, 1))

    def step(i: int) -> None:
        task(kept, i, given.rounds).loss.backward()

    seconds = {"step": median_seconds(step, given.rounds, device)}
    for world in ("rooms", "blocks", "interiors", "streets"):
        source = shop.source(f"sim:{world},count={given.batch_size * (given.rounds + 1)}")
        for label, cache in (("rendered", None), ("from the cache", RenderCache())):
            feed = Feed(source, batch_size=given.batch_size, size=size, seed=0, device=device, cache=cache)
            if cache is not None:
                for _ in feed.batches(0, feed.steps_per_epoch):
                    pass
            job = lambda i, feed=feed: next(feed.batches(i, i + 1))  # noqa: E731
            seconds[f"{world} {label}"] = median_seconds(job, given.rounds, device)
    print(f"{given.size}, batch {given.batch_size}, {device}, {torch.get_num_threads()} threads")
    for name, value in seconds.items():
        print(f"{name:26s} {1000 * value / given.batch_size:7.2f} ms/image   {value / seconds['step']:6.3f} of a step")


if __name__ == "__main__":
    main()
