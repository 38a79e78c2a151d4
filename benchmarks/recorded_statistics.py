"""Recorded feature statistics beside those that a teacher's batch norms remember.

python benchmarks/recorded_statistics.py [--counts 64 512 3000] [--steps 60] [--size 64x96] [--batch-size 16]
    [--device auto] [--out docs/results/recorded-statistics.json]

The bundled teacher has batch norms, so both can be had. Its statistics are recorded on so many of the rooms that it
knows, where the batch norms sit (their inputs) and at the taps that kdcli takes by default. A transformation network
for images of the other world is fitted to each, as the recipe data-free does it, and every fit is measured against all
of them, on images set aside: the mean distance over layers, relative to the teacher's spread. ``recorded`` is how far
the recorded statistics are from the batch norms' own. What students make of it, ``kdcli study statistics-mini`` tells.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.config import RunConfig, StageConfig, load
from kdcli.devices import choose
from kdcli.recipes import read
from kdcli.spec import parse_size
from kdcli.training.run.workshop import Workshop, transform_network
from kdcli.training.step.mixing import apply, mix_step
from kdcli.transform import Statistics, batch_norms, fit, probe_for, record
from kdcli.transform.fit import measure
from kdcli.transform.recorded import BATCH_NORMS
from kdcli.types import Batch

ASIDE = 4
"""Batches on which fits are measured."""


def recorded(shop: Workshop, stage: StageConfig, teacher: nn.Module, count: int) -> dict[str, Statistics]:
    """Record at both places on the first images of the teacher's world."""
    feed = shop.feed(replace(stage, name="record", data=f"sim:rooms,count={count}"))
    both = record(teacher, feed.batches(0, feed.steps_per_epoch), [BATCH_NORMS, *teacher.taps])  # type: ignore[misc]
    places = {"batch norms' inputs": "input:", "taps": ""}
    return {
        place: Statistics(
            mean={name: value for name, value in both.mean.items() if name.startswith("input:") is bool(begin)},
            variance={name: value for name, value in both.variance.items() if name.startswith("input:") is bool(begin)},
            provenance=both.provenance,
        )
        for place, begin in places.items()
    }


def from_own(statistics: Statistics, teacher: nn.Module) -> float:
    """Return the mean relative distance of what was recorded from what the batch norms remember."""
    found = []
    for name, module in batch_norms(teacher).items():
        mean, variance = (kept[f"input:{name}"].to(module.running_mean.device) for kept in (statistics.mean,
                                                                                             statistics.variance))
        wanted = module.running_var + module.eps
        off = ((mean - module.running_mean) / wanted.sqrt(), (variance - module.running_var) / wanted)
        found.append(sum(float(part.norm()) / part.numel() ** 0.5 for part in off))
    return sum(found) / len(found)


def distances(network: nn.Module, teacher: nn.Module, aside: list[Batch], known: dict[str, Any]) -> dict[str, float]:
    """Return the mean distance over layers to each of the statistics."""
    found = {}
    for name, statistics in known.items():
        with probe_for(teacher, statistics, norm="relative") as probe:
            layers = measure(network, teacher, aside, probe)[1]
        found[name] = sum(layers.values()) / len(layers)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[64, 512, 3000])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--size", default="64x96")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    flags = {"size": parse_size(given.size), "batch_size": given.batch_size}
    stage = replace(load(*read("data-free"), flags).stages[0], steps=given.steps)
    shop = Workshop(config=RunConfig(recipe="data-free", stages=(stage,)), device=choose(given.device))
    teacher = next(iter(shop.teachers(stage).values())).eval().requires_grad_(False)
    feed, mixers = shop.feed(stage), shop.mixers(stage, None)

    def batch_at(step: int) -> Batch:
        batch = next(feed.batches(step, step + 1))
        return apply(batch, mixers, mix_step(batch, seed=0, stage=stage.name, step=step, total=stage.steps or 1))

    aside = [batch_at(given.steps + i) for i in range(1 + ASIDE)]
    made = {count: recorded(shop, stage, teacher, count) for count in given.counts}
    most = made[max(given.counts)]
    yardsticks: dict[str, Statistics | None] = {"batch norms": None, **most}
    targets: list[tuple[str, int | None, Statistics | None]] = [("batch norms", None, None)]
    targets += [(place, count, made[count][place]) for place in most for count in given.counts]
    plain = transform_network(stage, 0).to(shop.device)
    rows = [{"to": "nothing", "images": None, "recorded": None, **distances(plain, teacher, aside[1:], yardsticks)}]
    print(json.dumps(rows[-1]), flush=True)
    for place, count, statistics in targets:
        network = transform_network(stage, 0).to(shop.device)
        fit(
            network, teacher, batch_at, steps=given.steps, lr=stage.lr, content=stage.content, norm="relative",
            statistics=statistics, held_out=aside[:1],
        )
        off = from_own(statistics, teacher) if statistics is not None and place != "taps" else None
        rows.append({
            "to": place, "images": count, "recorded": off, **distances(network, teacher, aside[1:], yardsticks),
        })
        print(json.dumps(rows[-1]), flush=True)
    facts = {"steps": given.steps, "size": given.size, "batch_size": given.batch_size, "torch": torch.__version__}
    if given.out is not None:
        given.out.write_text(json.dumps({"statistics": rows, **facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
