"""Fit transformation networks in other ways: ``python -m kdcli_trials.fits groups --out FILE.safetensors``.

groups   to the teacher's statistics averaged over groups of channels, instead of each channel's.
wrong    to the statistics and, against them, to what a student gets wrong: a reward for mean |ln| between its depth and
         the teacher's of the transformed images.
sensor   together with blur, exposure, vignetting and noise of a camera, one number each, which are put on what the
         network gives; they are kept in the file, for mixer ``sensor,file=FILE``.

Otherwise as ``kdcli fit-transform`` with the settings of recipe ``data-free``, on images that are not mixed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import kdcli
from kdcli.errors import ConfigError
from kdcli.transform import BatchNormProbe, TransformNetwork, content_gap, save
from kdcli_trials.sensor import sensed

GROUP = 8
"""Channels of a group."""
REWARD = 2.0
"""Of what a student gets wrong, beside statistics that are 1 at the start."""


class GroupedGaps:
    """How far the statistics of what enters each batch norm are from its own, on average over groups of channels."""

    def __init__(self, teacher: nn.Module, group: int = GROUP) -> None:
        self._group, self._seen = group, list[Tensor]()
        self._handles = [
            part.register_forward_pre_hook(self._see) for part in teacher.modules() if isinstance(part, nn.BatchNorm2d)
        ]

    def __enter__(self) -> GroupedGaps:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def clear(self) -> None:
        """Forget what was measured."""
        self._seen = []

    def loss(self) -> Tensor:
        """Return the sum over layers of both root mean squares over groups."""
        return torch.stack(self._seen).sum()

    def _see(self, module: Any, inputs: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        scale = module.running_var + module.eps
        off = torch.stack(((mean - module.running_mean) / scale.sqrt(), (variance - module.running_var) / scale))
        spare = -off.shape[1] % self._group
        groups = nn.functional.pad(off, (0, spare)).view(2, -1, self._group).sum(2)
        sizes = off.new_full((groups.shape[1],), self._group)
        sizes[-1] -= spare
        self._seen.append(torch.linalg.vector_norm(groups / sizes, dim=1).sum() / groups.shape[1] ** 0.5)


class Effects(nn.Module):
    """Four numbers of a camera; they begin small and stay within what a camera has."""

    most: ClassVar[dict[str, float]] = {"blur": 1.5, "exposure": 0.5, "vignette": 0.8, "noise": 0.1}

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.ParameterDict({name: nn.Parameter(torch.tensor(-2.0)) for name in self.most})

    def values(self) -> dict[str, Tensor]:
        """Return each effect's strength, from 0 to its most; exposure is a logarithm and has both signs."""
        found = {name: most * self.raw[name].sigmoid() for name, most in self.most.items()}
        found["exposure"] = self.most["exposure"] * (self.raw["exposure"] + 2).tanh()
        return found

    def forward(self, image: Tensor) -> Tensor:
        """Return images as that camera sees them."""
        return sensed(image, self.values(), torch.randn_like(image))


def fit(
    network: TransformNetwork, teacher: nn.Module, batch: Callable[[int], Tensor], *, steps: int, lr: float,
    probe: BatchNormProbe | GroupedGaps, effects: Effects | None = None,
    reward: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[float, float]:
    """Fit in place; of the state at the start and after each tenth, the best on a batch set aside is kept.

    Returns the objective there before and after.
    """
    teacher.eval().requires_grad_(False)
    aside, scale = batch(steps), 1.0
    fitted = nn.ModuleList([network] if effects is None else [network, effects])

    def objective(image: Tensor) -> tuple[Tensor, Tensor]:
        probe.clear()
        moved = network(image)
        seen = moved if effects is None else effects(moved)
        said, gap = teacher(seen).depth, probe.loss()
        loss = scale * gap + content_gap(moved, image)
        return (loss if reward is None else loss - REWARD * reward(seen, said)), gap

    @torch.no_grad()
    def now() -> float:
        return float(objective(aside)[0])

    def state() -> dict[str, Tensor]:
        return {name: value.clone() for name, value in fitted.state_dict().items()}

    with probe:
        with torch.no_grad():
            scale = 1 / float(objective(aside)[1])
        before, kept = now(), state()
        best = before
        optimiser = torch.optim.Adam(fitted.parameters(), lr=lr, betas=(0.9, 0.99))
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(objective(batch(step))[0])
            nn.utils.clip_grad_norm_(fitted.parameters(), 1.0)
            optimiser.step()
            if ((step + 1) % max(steps // 10, 1) == 0 or step == steps - 1) and (value := now()) < best:
                best, kept = value, state()
    fitted.load_state_dict(kept)
    return before, best


def wrong(student: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Return mean |ln| between a student's depth of images and what the teacher says of them."""
    student.eval().requires_grad_(False)

    def apart(image: Tensor, said: Tensor) -> Tensor:
        depth = student(image.clamp(0, 1)).depth
        depth = nn.functional.interpolate(depth, said.shape[-2:], mode="bilinear", align_corners=False)
        return (depth.clamp_min(1e-3).log() - said.clamp_min(1e-3).log()).abs().mean()

    return apart


def main(arguments: list[str] | None = None) -> None:
    """Fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("how", choices=("groups", "wrong", "sensor"))
    parser.add_argument("--teacher", default="demo")
    parser.add_argument("--student", help="a finished run or its student's file; of wrong")
    parser.add_argument("--data", default="sim:blocks,count=3000")
    parser.add_argument("--size", default="64x96")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    if (given.how == "wrong") != bool(given.student):
        parser.error("wrong needs --student RUN, and the others have none")
    torch.manual_seed(given.seed)
    height, width = map(int, given.size.split("x"))
    source: Any = kdcli.build("source", given.data)
    if len(source) < 16 * (given.steps + 1):
        raise ConfigError(f"{given.data} has {len(source)} images; {given.steps} steps need {16 * (given.steps + 1)}")
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(given.seed)).tolist()
    teacher = kdcli.build("teacher", given.teacher).eval()
    network = TransformNetwork(form="both", width=16)
    effects = Effects() if given.how == "sensor" else None
    before, after = fit(
        network, teacher, lambda step: source.batch(order[16 * step : 16 * step + 16], (height, width), "cpu").image,
        steps=given.steps, lr=3e-3, effects=effects,
        probe=GroupedGaps(teacher) if given.how == "groups" else BatchNormProbe(teacher, norm="relative"),
        reward=wrong(kdcli.build("teacher", f"run:{given.student}")) if given.student else None,
    )
    told = {"how": given.how, "teacher": given.teacher, "data": given.data, "steps": given.steps, "seed": given.seed,
            "before": before, "after": after}
    if effects is not None:
        told["sensor"] = {name: float(value.detach()) for name, value in effects.values().items()}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    save(network, given.out, told)
    sys.stdout.write(json.dumps({"out": str(given.out), **told}) + "\n")


if __name__ == "__main__":
    main()
