"""The lean divergence between depth probability maps against the formula written out, forward and backward.

python benchmarks/dpm_loss.py [--dataset kitti] [--batch-size 8] [--size 352x704] [--rounds 3] [--threads 1]
    [--device auto] [--layouts planes pixels] [--out docs/results/dpm-loss.json]

All get the same student distribution (leaf tensor, so its gradient is part of what is measured) and teacher depth, and
give the released form's value and gradient.

lean      kdcli's: bins near the teacher's depth only, block by block
direct    the formula in broadcast tensor operations, nothing kept longer than needed
released  step by step as the released code does it, with its repeated bin centres

Memory is what a call needs beyond what was there before it, its gradient included: on a CPU the growth of the process,
on a GPU of its tensors. A batch that does not fit is halved until it does, for all alike.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from kdcli.devices import choose
from kdcli.losses.dpm import Grid
from kdcli.losses.dpm_kl import EPS, Map, dpm_kl
from kdcli.spec import parse_size

RANGES = {"kitti": (80.0, 257), "nyu": (10.0, 49)}
SIGMA = 0.5
COPIES = 14
"""Volumes that the longest way may need at once, to choose a batch that fits."""


def lean(probs: Tensor, depth: Tensor, centers: Tensor) -> Tensor:
    how = Map(grid=Grid.of(centers), sigma=SIGMA, dpm="released", form="released")
    return dpm_kl(probs, depth, centers, how) / depth.numel()


def direct(probs: Tensor, depth: Tensor, centers: Tensor) -> Tensor:
    off = centers.view(1, -1, 1, 1) - depth
    target = torch.exp(off.square().mul_(-0.5 / SIGMA**2)).div_(math.sqrt(2 * math.pi) * SIGMA)
    target = target.masked_fill_(target < 1e-16, -1000.0).softmax(1)
    return torch.where(probs != 0, target * (target / (probs + EPS) + EPS).log(), 0.0).sum(1).mean()


def released(probs: Tensor, depth: Tensor, centers: Tensor) -> Tensor:
    images, _, height, width = probs.shape
    repeated = centers.view(1, -1, 1, 1).repeat(images, 1, height, width)
    off = repeated - depth
    square = off**2
    density = torch.exp(-square / (2 * SIGMA**2)) / math.sqrt(2 * math.pi * SIGMA**2)
    score = torch.where(density < 1e-16, torch.full_like(density, -1000.0), density)
    target = torch.softmax(score, dim=1)
    ratio = target / (probs + EPS) + EPS
    log = torch.log(ratio)
    product = target * log
    kept = torch.where(probs != 0, product, torch.zeros_like(product))
    return kept.sum(dim=1, keepdim=True).mean()


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"lean": lean, "direct": direct, "released": released}


class Peak:
    """Bytes that were needed beyond those at the start."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def start(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5")
            self.before = _status("VmRSS")

    def stop(self) -> int:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return torch.cuda.max_memory_allocated() - self.before
        return _status("VmHWM") - self.before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(key))) * 1024


def room(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info()[0]
    lines = Path("/proc/meminfo").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("MemAvailable"))) * 1024


def compare(given: argparse.Namespace, layout: str, device: torch.device) -> list[dict[str, object]]:
    far, bins = RANGES[given.dataset]
    height, width = parse_size(given.size)
    batch = given.batch_size
    while batch > 1 and batch * bins * height * width * 4 * COPIES > room(device):
        batch //= 2
    edges = torch.linspace(1e-3, far, bins + 1, device=device)
    centers = (edges[1:] + edges[:-1]) / 2
    generator = torch.Generator(device=device).manual_seed(0)
    depth = far * torch.rand(batch, 1, height, width, generator=generator, device=device).clamp_min(0.01)
    probs = torch.empty(batch, bins, height, width, device=device)
    if layout == "pixels":
        probs = probs.contiguous(memory_format=torch.channels_last)
    for image in probs:  # one by one: the making of the inputs is not what is measured
        image.copy_(torch.randn(image.shape, generator=generator, device=device).softmax(0))
    probs.requires_grad_()
    clock = time.process_time if device.type == "cpu" and given.threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    memory: dict[str, int] = {}
    values: dict[str, float] = {}
    gradient: Tensor | None = None
    for round_ in range(given.rounds + 1):
        for name, way in WAYS.items():
            probs.grad = None
            peak = Peak(device)
            peak.start()
            begin = clock()
            value = way(probs, depth, centers)
            value.backward()
            needed = peak.stop()
            if round_:
                seconds[name].append(clock() - begin)
            memory[name], values[name] = needed, value.item()
            if round_ == 0 and name == "lean":
                gradient = probs.grad
            elif round_ == 0 and gradient is not None:
                worst = float((gradient - probs.grad).abs().max() / probs.grad.abs().max())
                if abs(values[name] / values["lean"] - 1) > 1e-6 or worst > 1e-6:
                    raise SystemExit(f"{name} and lean differ: {values}, gradient {worst}")
        gradient = None
    timed = {name: statistics.median(kept) for name, kept in seconds.items()}
    facts = {
        "dataset": given.dataset, "batch": batch, "size": given.size, "bins": bins, "layout": layout,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(), "torch": torch.__version__, "rounds": given.rounds,
    }
    return [
        {**facts, "way": name, "seconds": timed[name], "memory_mib": memory[name] / 2**20,
         "time_ratio": timed["lean"] / timed[name], "memory_ratio": memory["lean"] / max(memory[name], 1)}
        for name in WAYS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=RANGES, default="kitti")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--size", default="352x704")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--layouts", nargs="+", choices=("planes", "pixels"), default=["planes", "pixels"])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = choose(given.device)
    rows = [row for layout in given.layouts for row in compare(given, layout, device)]
    for row in rows:
        print(
            f"{row['way']:9}{row['dataset']} batch {row['batch']} {row['size']} {row['layout']}: "
            f"{row['seconds']:.2f} s, {row['memory_mib']:.0f} MiB; lean takes {row['time_ratio']:.3f} of the time, "
            f"{row['memory_ratio']:.3f} of the memory"
        )
    if given.out is not None:
        given.out.write_text(json.dumps({"dpm": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
