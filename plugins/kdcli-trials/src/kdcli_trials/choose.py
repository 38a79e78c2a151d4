"""Choose images of a simulated source by a score: ``python -m kdcli_trials.choose sim:blocks,count=12000 --out FILE``.

statistics   how near the features of an image are to what the teacher's batch norms remember: weights w ~ exp(l . z)
             over the pool with l such that the weighted mean of the images' moments z, in their first principal
             directions, is the remembered one (maximum entropy); images are drawn by these weights.
student      how far a student's depth is from the teacher's, mean |ln|: the farthest quarter is kept, drawn evenly.
both         drawn by the first, among the farther half by the second.

What was scored is kept beside the result (``.scores.pt``), a hundred images at a time: the same command goes on there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import kdcli
from kdcli.transform import load

CHUNK = 100
DIRECTIONS, RIDGE = 16, 0.1


class Moments:
    """Per image: mean and mean square of what enters each batch norm, from what it remembers, in its deviations."""

    def __init__(self, teacher: nn.Module) -> None:
        self._norms: list[Any] = [part for part in teacher.modules() if isinstance(part, nn.BatchNorm2d)]
        self._seen: dict[int, Tensor] = {}
        for number, norm in enumerate(self._norms):
            norm.register_forward_pre_hook(self._hook(number, norm))

    def _hook(self, number: int, norm: Any) -> Any:
        def see(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            off = inputs[0] - norm.running_mean.view(1, -1, 1, 1)
            variance = norm.running_var + norm.eps
            self._seen[number] = torch.cat(
                (off.mean((2, 3)) / variance.sqrt(), off.square().mean((2, 3)) / variance - 1), dim=1
            )

        return see

    def take(self) -> Tensor:
        """Return those of the images that the teacher saw last, B x moments."""
        return torch.cat([self._seen[number] for number in range(len(self._norms))], dim=1)


def scored(
    source: Any, size: tuple[int, int], teacher: nn.Module, student: nn.Module | None, carry: nn.Module | None,
    kept: Path,
) -> dict[str, Tensor]:
    """Return moments and the student's distance of every image, from where it was stopped."""
    found: dict[str, Tensor] = torch.load(kept, weights_only=True) if kept.is_file() else {}
    moments = Moments(teacher)
    with torch.no_grad():
        for begin in range(len(found.get("moments", ())), len(source), CHUNK):
            image = source.batch(list(range(begin, min(begin + CHUNK, len(source)))), size, "cpu").image
            image = image if carry is None else carry(image).clamp(0, 1)
            said = teacher(image).depth.clamp_min(1e-3).log()
            new = {"moments": moments.take()}
            if student is not None:
                depth = nn.functional.interpolate(student(image).depth, said.shape[-2:], mode="bilinear")
                new["apart"] = (depth.clamp_min(1e-3).log() - said).abs().mean((1, 2, 3))
            found = {name: torch.cat((found[name], value)) if found else value for name, value in new.items()}
            save(found, kept)
    return found


def save(found: dict[str, Tensor], kept: Path) -> None:
    """Write scores whole, or not at all."""
    draft = kept.with_suffix(".draft")
    torch.save(found, draft)
    draft.replace(kept)


def weights(moments: Tensor, directions: int = DIRECTIONS, ridge: float = RIDGE) -> Tensor:
    """Return the weights of images whose mean moments, in the first directions, are 0 as far as a ridge lets them."""
    values = moments.double()
    middle = values.mean(0)
    _, spread, axes = torch.linalg.svd(values - middle, full_matrices=False)
    axes, spread = axes[:directions].T, spread[:directions] / len(values) ** 0.5
    seen, wanted = (values - middle) @ axes / spread, -middle @ axes / spread
    tilt = torch.zeros(seen.shape[1], dtype=torch.double, requires_grad=True)
    search = torch.optim.LBFGS([tilt], max_iter=300, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        value: Tensor = torch.logsumexp(seen @ tilt, 0) - tilt @ wanted + ridge / 2 * (tilt @ tilt)
        torch.autograd.backward(value)
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    return torch.softmax(seen @ tilt.detach(), 0)


def picked(weight: Tensor, count: int, seed: int) -> list[int]:
    """Return ``count`` positions by their weights, as evenly as can be, in random order."""
    steps = (torch.arange(count, dtype=torch.double) + 0.5) / count
    places = torch.searchsorted(weight.double().cumsum(0) / weight.double().sum(), steps).clamp(max=len(weight) - 1)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return [int(place) for place in places[order]]


def by(how: str, scores: dict[str, Tensor]) -> Tensor:
    """Return the weight of each image."""
    far = scores.get("apart")
    if how == "statistics" or far is None:
        return weights(scores["moments"])
    if how == "student":
        return (far >= far.quantile(0.75)).double()
    return weights(scores["moments"]) * (far >= far.median())


def main(arguments: list[str] | None = None) -> None:
    """Score, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--by", choices=("statistics", "student", "both"), default="statistics")
    parser.add_argument("--teacher", default="demo")
    parser.add_argument("--student", help="a finished run or its student's file; of --by student and both")
    parser.add_argument("--transform", type=Path, help="of kdcli fit-transform, through which images are looked at")
    parser.add_argument("--size", default="64x96")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    if given.by != "statistics" and not given.student:
        parser.error(f"--by {given.by} needs --student RUN")
    height, width = map(int, given.size.split("x"))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    source: Any = kdcli.build("source", given.source)
    student = kdcli.build("teacher", f"run:{given.student}").eval() if given.student else None
    carry = load(given.transform)[0].eval() if given.transform else None
    scores = scored(source, (height, width), kdcli.build("teacher", given.teacher).eval(), student, carry,
                    given.out.with_suffix(".scores.pt"))
    picks = picked(by(given.by, scores), given.count, given.seed)
    draft = given.out.with_suffix(".draft")
    draft.write_text(json.dumps({"source": given.source, "by": given.by, "picks": picks}) + "\n")
    draft.replace(given.out)
    sys.stdout.write(json.dumps({"out": str(given.out), "images": len(picks), "different": len(set(picks))}) + "\n")


if __name__ == "__main__":
    main()
