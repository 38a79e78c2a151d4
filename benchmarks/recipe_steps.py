"""What a step of one recipe costs beside a step of another, rendering included, over the steps of a whole stage.

python benchmarks/recipe_steps.py [data-free data-free-plus] [--set KEY=VALUE ...] [--steps 400] [--threads 1] [--tiny]
    [--out docs/results/recipe-steps.json]

The main stages of both take turns, step by step, in one process; each renders what it has not rendered before, so that
a recipe with more scenes pays for them. The time is the processor's on one thread of a CPU. A transformation network
that an earlier stage would fit is one of random weights, which changes no time. Ratios are of sums over tenths of the
steps: their median and quartiles, and the whole.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.benching.clock import Times
from kdcli.benching.step import steps_of
from kdcli.benching.step_parts import PartClock
from kdcli.choosing import choose
from kdcli.devices import keep_freed_memory
from kdcli.training.run.workshop import Workshop
from kdcli.transform import TransformNetwork, save

TINY = {"size": (32, 48), "batch_size": 4, "student": "mobilenet,width=0.35"}


def begun(recipe: str, settings: list[str], given: argparse.Namespace, folder: Path) -> Iterator[None]:
    """Return the steps of a recipe's main stage, each done as somebody asks for it."""
    flags: dict[str, Any] = {"eval_data": "none", "steps": given.steps, **(TINY if given.tiny else {})}
    config = choose(recipe, flags, settings, twin=False).config
    if config.main.transform == "fitted":
        fit = next(stage for stage in config.stages if stage.train == "transform")
        network = TransformNetwork(form=fit.network, width=fit.network_width, depth=fit.network_layers)
        for part in network.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=0.05)
        save(network, folder / f"{recipe}.safetensors", {})
        stage = replace(config.main, transform=str(folder / f"{recipe}.safetensors"))
        config = replace(config, stages=(stage,))
    shop, stage = Workshop(config=config, device=torch.device("cpu")), config.main
    student, _ = shop.student()
    task = shop.task(stage, student, None)
    task.build(shop.first(stage))
    task.begin_training()
    return steps_of(shop, stage, task, PartClock(shop.device), given.steps)


def compared(steps: dict[str, Iterator[None]], count: int) -> dict[str, list[float]]:
    """Return the processor's milliseconds of each step; who comes first changes from step to step."""
    clock = PartClock(torch.device("cpu"))
    for number in range(count):
        for name in (list(steps) if number % 2 else list(steps)[::-1]):
            with clock.part(name):
                next(steps[name])
        clock.round(counts=True)
    times: dict[str, Times] = clock.times
    return {name: list(times[name].processor or times[name].wall) for name in steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["data-free", "data-free-plus"])
    parser.add_argument("--set", action="append", default=[], help="of the second recipe")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="small networks, to see that it runs")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    first, second = given.recipes
    with tempfile.TemporaryDirectory() as folder:
        steps = {first: begun(first, [], given, Path(folder)), second: begun(second, given.set, given, Path(folder))}
        times = compared(steps, given.steps)
    tenth = max(given.steps // 10, 1)
    ratios = [sum(times[second][at : at + tenth]) / sum(times[first][at : at + tenth])
              for at in range(0, given.steps, tenth)]
    whole = sum(times[second]) / sum(times[first])
    low, middle, high = statistics.quantiles(ratios, n=4)
    for name in steps:
        print(f"{name}: {1000 * statistics.mean(times[name]):.1f} ms a step")
    print(f"{second} / {first}: {whole:.3f}; tenths of the steps {low:.3f}, {middle:.3f}, {high:.3f}")
    if given.out is not None:
        told = {"recipes": given.recipes, "settings": given.set, "steps": given.steps, "threads": given.threads,
                "ms": {name: 1000 * statistics.mean(times[name]) for name in steps}, "ratio": whole,
                "tenths": ratios, "torch": torch.__version__}
        given.out.write_text(json.dumps({"recipe_steps": told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
