"""What a step costs beyond its parts: mixing, transformation, teacher and student, measured alone on the same tensors.

python benchmarks/step_overhead.py [--size 128x160] [--batch-size 8] [--teacher demo] [--student mobilenet]
    [--rounds 15] [--threads 1] [--device auto] [--out docs/results/step-overhead.json]

A step is what the training loop does between two batches: object-wise mixing, a fitted transformation network, the
teacher's depth, the student's forward pass, losses, backward pass, clipping and update. The parts do the same by hand,
without anything around it. Step and parts take turns in one process; medians over the rounds are compared. On one CPU
thread the clock is that of the process, so that waiting for others does not count; on a GPU it is the device's. Beside
the times stand the operators that each runs and the numbers that these write, which no other program changes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kdcli.config import RunConfig, StageConfig
from kdcli.devices import choose, keep_freed_memory
from kdcli.maps import at_size
from kdcli.plugins import registry
from kdcli.spec import parse_size
from kdcli.training.loop.optim import clipped, optimizer_of
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.mixing import mix_step
from kdcli.transform import TransformNetwork, save

LOSSES = (("log-l1", 1.0), ("gradient", 0.5))
WARM_UP = 3
"""Rounds that are not counted."""


class Work(TorchDispatchMode):
    """Count operators and the numbers that they write, those of the backward pass as well; views write nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.written = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.operators += 1
            self.written += sum(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        return result


class Clock:
    """Milliseconds of jobs by name, round by round."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.times: dict[str, list[float]] = {}
        self.work: dict[str, Work] = {}
        self.count = False
        one = device.type == "cpu" and torch.get_num_threads() == 1
        self.now = time.process_time if one else time.perf_counter

    def run(self, name: str, job: Callable[..., Any], *given: Any) -> Any:
        if self.count:
            with self.work.setdefault(name, Work()):
                return job(*given)
        if self.device.type != "cuda":
            begin = self.now()
            result = job(*given)
            self.times.setdefault(name, []).append(1000 * (self.now() - begin))
            return result
        torch.cuda.synchronize(self.device)
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        marks[0].record()
        result = job(*given)
        marks[1].record()
        torch.cuda.synchronize(self.device)
        self.times.setdefault(name, []).append(marks[0].elapsed_time(marks[1]))
        return result


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    device, size = choose(given.device), parse_size(given.size)
    file = folder / "transform.safetensors"
    network = TransformNetwork(form="both", width=16)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    save(network, file, {})
    stage = StageConfig(
        name="benchmark", steps=given.rounds, batch_size=given.batch_size, size=size, data="sim:blocks,count=64",
        teachers=(given.teacher,), mixers=("object",), transform=str(file), losses=LOSSES,
    )
    shop = Workshop(config=RunConfig(recipe="plain", student=given.student, stages=(stage,)), device=device)
    student, _ = shop.student()
    task = shop.task(stage, student, None).train()
    trained = list(task.trained_parameters())
    optimizer = optimizer_of(stage, trained)
    feed = shop.feed(stage)
    mixer, transform = task.mixers
    teacher = next(iter(shop.teachers(stage).values()))
    losses = [(weight, registry.build("loss", name)) for name, weight in LOSSES]
    kept = list(feed.batches(0, feed.steps_per_epoch))
    with torch.no_grad():
        height, width = student(kept[0].image).depth.shape[-2:]
    shape = (int(height), int(width))
    clock = Clock(device)

    def step(number: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        result = task(kept[number % len(kept)], number, given.rounds)
        result.loss.backward()
        clipped(trained, stage.clip)
        optimizer.step()

    def learn(image: Tensor, target: Tensor, valid: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        depth = student(image).depth
        sum(weight * loss(depth, target, valid) for weight, loss in losses).backward()
        clipped(trained, stage.clip)
        optimizer.step()

    def teach(image: Tensor) -> Any:
        with torch.no_grad():
            return teacher(image)

    for number in range(WARM_UP + given.rounds + 1):
        clock.count = number == WARM_UP + given.rounds
        batch = kept[number % len(kept)]
        # Every other round the step comes last, so that neither finds the caches warmer than the other does.
        if number % 2:
            clock.run("step", step, number)
        draw = mix_step(batch, seed=0, stage=stage.name, step=number, total=given.rounds)
        mixed = clock.run("mixing", mixer.mix, batch, draw)
        moved = clock.run("transformation", transform.mix, mixed, draw)
        said = clock.run("teacher", teach, moved.image)
        target, valid = at_size(said, shape)
        clock.run("student", learn, moved.image, target, valid)
        if not number % 2:
            clock.run("step", step, number)
    times = {name: values[WARM_UP:] for name, values in clock.times.items()}
    parts = [name for name in times if name != "step"]
    work = lambda key: [getattr(clock.work["step"], key), sum(getattr(clock.work[name], key) for name in parts)]  # noqa: E731
    whole = [sum(times[name][i] for name in parts) for i in range(given.rounds)]
    low, _, high = statistics.quantiles([a / b for a, b in zip(times["step"], whole, strict=True)], n=4)
    return {
        "teacher": given.teacher, "student": given.student, "size": given.size, "batch_size": given.batch_size,
        "step_ms": statistics.median(times["step"]), "sum_ms": statistics.median(whole),
        "parts_ms": {name: statistics.median(times[name]) for name in parts},
        "ratio": statistics.median(times["step"]) / statistics.median(whole), "ratio_quartiles": [low, high],
        "fastest": min(times["step"]) / sum(min(times[name]) for name in parts),
        "operators": work("operators"), "written": work("written"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(), "torch": torch.__version__, "rounds": given.rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="128x160")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--teacher", default="demo")
    parser.add_argument("--student", default="mobilenet")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()  # as training does
    with tempfile.TemporaryDirectory() as folder:
        row = measure(given, Path(folder))
    print(
        f"{row['teacher']} -> {row['student']}, {row['size']}, batch {row['batch_size']}, {row['device']}, "
        f"{row['threads']} CPU thread(s), torch {row['torch']}, medians over {row['rounds']} rounds"
    )
    for name, value in {**row["parts_ms"], "sum of the parts": row["sum_ms"], "step": row["step_ms"]}.items():
        print(f"{name:18s} {value:9.2f} ms")
    low, high = (100 * (ratio - 1) for ratio in row["ratio_quartiles"])
    print(f"overhead           {100 * (row['ratio'] - 1):+9.1f} %, quartiles of rounds {low:+.1f} and {high:+.1f} %")
    print(f"fastest            {100 * (row['fastest'] - 1):+9.1f} %")
    for name, what in (("operators", "operators"), ("written", "numbers written")):
        step, parts = row[name]
        print(f"{what:18s} {step:11,} in the step, {parts:11,} in its parts: {100 * (step / parts - 1):+.2f} %")
    if given.out is not None:
        given.out.write_text(json.dumps({"overhead": [row]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
