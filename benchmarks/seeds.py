"""How much a student depends on luck: one recipe, many seeds.

python benchmarks/seeds.py [--recipe data-free] [--seeds 0-39] [--set steps=300] [--images 96] [--begin taught|middle]
    [--head 1.0] [--nudge 0] [--device auto] [--out docs/results/seeds.json]

Each seed is a run of its own: other first weights, another order of the images, another transformation network. Runs
share what was rendered, have no twin and export nothing. A run counts as stuck whose delta1 is below 0.9 of the median.
``--begin middle`` lets students begin in the geometric middle of their range instead of at what they are taught;
``--head`` multiplies the weights that their heads begin with, so that what pushes the head pushes the whole network
harder; ``--nudge N`` adds noise of 1e-5 to them, another for each N, so that only luck differs. Rows are kept in the
file as they come; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kdcli.config import RunConfig, load
from kdcli.devices import choose
from kdcli.files import write_text
from kdcli.networks.pyramid import PyramidNet
from kdcli.recipes import read
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.run.job import distill

STUCK = 0.9
"""Share of the median delta1 below which a run counts as stuck."""


def numbers(text: str) -> list[int]:
    """Read ``0-3,7`` as 0, 1, 2, 3, 7."""
    ends = [part.partition("-") for part in text.split(",")]
    return [n for first, dash, last in ends for n in range(int(first), int(last if dash else first) + 1)]


def change_students(begin: str, head: float, nudge: int) -> None:
    """Let students begin as asked: their only change is to the bias and the weights of the head."""
    told = PyramidNet.begin_at

    @torch.no_grad()
    def begin_at(self: PyramidNet, depth: float) -> None:
        weight: torch.Tensor = self.head.conv.weight  # type: ignore[union-attr, assignment]
        weight.mul_(head)
        if nudge:
            noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(nudge))
            weight.add_(noise.to(weight.device), alpha=1e-5)
        if begin == "taught":
            told(self, depth)

    PyramidNet.begin_at = begin_at  # type: ignore[method-assign]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the runs come to."""
    found = sorted(row["delta1"] for row in rows)
    median = statistics.median(found)
    return {
        "runs": len(found), "median": median, "least": found[0], "greatest": found[-1],
        "least_of_median": found[0] / median, "stuck": sum(value < STUCK * median for value in found),
    }


def config_of(given: argparse.Namespace, seed: int) -> RunConfig:
    config = load(*read(given.recipe), {"seed": seed}, given.set)
    images = f"sim:rooms,count={given.images},seed=1000"
    return replace(config, twin=None, export=None, eval_data=images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="data-free")
    parser.add_argument("--seeds", type=numbers, default="0-39")
    parser.add_argument("--set", nargs="+", default=["steps=300"])
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--begin", choices=["taught", "middle"], default="taught")
    parser.add_argument("--head", type=float, default=1.0)
    parser.add_argument("--nudge", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    change_students(given.begin, given.head, given.nudge)
    keys = ("recipe", "set", "images", "begin", "head", "nudge")
    facts = {key: getattr(given, key) for key in keys} | {"torch": torch.__version__}
    rows: list[dict[str, Any]] = []
    if given.out is not None and given.out.is_file():
        known = json.loads(given.out.read_text())
        if {key: known[key] for key in keys} != {key: facts[key] for key in keys}:
            parser.error(f"'{given.out}' holds runs with other settings; name another file")
        rows = known["rows"]
    cache = RenderCache()
    for seed in given.seeds:
        if any(row["seed"] == seed for row in rows):
            continue
        with tempfile.TemporaryDirectory() as folder:
            result = distill(
                config_of(given, seed), out=Path(folder) / "run", device=choose(given.device), cache=cache,
                measure_teachers=False,
            )
        rows.append({"seed": seed, "delta1": result.eval["student"]["metrics"]["delta1"]})
        print(json.dumps(rows[-1]), flush=True)
        if given.out is not None:
            write_text(given.out, json.dumps({"rows": rows, "summary": summary(rows), **facts}, indent=1) + "\n")
    print(json.dumps(summary(rows)))


if __name__ == "__main__":
    main()
