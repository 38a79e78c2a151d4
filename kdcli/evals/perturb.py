"""Robustness: how much worse depth gets on images that were changed on purpose, by at most EPS each number of a colour.

Both attacks follow the gradient of each image's own error, the mean absolute error of log depth over the pixels that
count, measured as everything here is: against the ground truth, at its size, aligned as the model is. They stay within
EPS of the image as the model is shown it (L-infinity) and within 0..1.

========  ==============================================================================================================
``fgsm``  one step of EPS along the sign of the gradient (Goodfellow et al., arXiv 1412.6572)
``pgd``   ten steps of EPS / 5, brought back into the ball after each (Madry et al., arXiv 1706.06083). It begins at the
          image itself, so that a result repeats, and of all points on the way the one with the greatest error counts
========  ==============================================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.evals import intervals
from kdcli.evals.alignment import FLOOR
from kdcli.evals.batches import Prepared
from kdcli.evals.metrics import NAMES, per_image
from kdcli.evals.predict import depth_of, place, raw_prediction
from kdcli.evals.protocol import Aggregation, Alignment, Protocol
from kdcli.evals.reference import as_known
from kdcli.maps import masked_mean
from kdcli.types import DepthKind

ATTACKS = ("fgsm", "pgd")
STEPS = 10
"""Steps of ``pgd``."""
SHARE = 0.2
"""Length of one of them, as a share of EPS."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Perturbed:
    """The metrics of one model on attacked images.

    values: per-image metrics by attack, N x 9 float64; the images are those of the result, in its order. Images on
    which an attacked prediction is not finite are in no number here; ``broken`` tells how many they are.
    """

    epsilon: float
    values: Mapping[str, Tensor]
    pixels: Tensor
    aggregation: Aggregation = "image"
    seed: int = 0
    n: int = field(init=False)
    broken: int = field(init=False)
    metrics: Mapping[str, Mapping[str, float]] = field(init=False)
    ci95: Mapping[str, Mapping[str, tuple[float, float]]] = field(init=False)

    def __post_init__(self) -> None:
        sound = torch.stack([torch.isfinite(rows).all(dim=1) for rows in self.values.values()]).all(dim=0)
        means, bounds = {}, {}
        for attack, rows in self.values.items():
            kept, pixels = rows[sound], self.pixels[sound]
            point = intervals.point(kept, pixels, self.aggregation).tolist()
            low, high = intervals.interval(kept, pixels, self.aggregation, seed=self.seed).tolist()
            means[attack] = dict(zip(NAMES, point, strict=True))
            bounds[attack] = dict(zip(NAMES, zip(low, high, strict=True), strict=True))
        object.__setattr__(self, "n", int(sound.sum()))
        object.__setattr__(self, "broken", len(sound) - self.n)
        object.__setattr__(self, "metrics", means)
        object.__setattr__(self, "ci95", bounds)

    @classmethod
    def of(
        cls, images: Sequence[Mapping[str, Tensor]], pixels: Tensor, epsilon: float, aggregation: Aggregation, seed: int
    ) -> Perturbed:
        """Return it from the metrics of each image by attack."""
        values = {attack: torch.stack([image[attack] for image in images]) for attack in ATTACKS}
        return cls(epsilon=epsilon, values=values, pixels=pixels, aggregation=aggregation, seed=seed)

    def document(self) -> dict[str, Any]:
        """Return all for JSON; what does not exist is null."""
        return {
            "epsilon": self.epsilon, "norm": "linf", "pgd_steps": STEPS, "pgd_step": self.epsilon * SHARE, "n": self.n,
            "not_finite": self.broken,
            **{
                attack: {
                    "metrics": {name: _number(value) for name, value in self.metrics[attack].items()},
                    "ci95": {name: [_number(end) for end in ends] for name, ends in self.ci95[attack].items()},
                }
                for attack in self.values
            },
        }


def attacked_metrics(
    model: nn.Module, prepared: Prepared, rules: Protocol, mode: Alignment, name: str, epsilon: float,
    kind: DepthKind | None = None,
) -> dict[str, Tensor]:
    """Return the metrics of a batch under each attack, B x 9 float64 on the CPU.

    rules, mode: those for this model. kind: of the teacher that took the place of ground truth, if one did.

    Raises:
        ConfigError: no gradient reaches the image.
    """

    def seen(image: Tensor) -> tuple[Tensor, Tensor]:
        """Return depth and where it counts, of the region that the model is shown."""
        shown = replace(prepared, batch=replace(prepared.batch, image=image))
        raw = raw_prediction(model, shown, rules, name)
        raw = raw if kind is None else as_known(raw, kind)
        valid = prepared.batch.valid
        assert valid is not None
        return depth_of(raw, shown, mode, rules), valid if raw.opinion is None else valid & raw.opinion

    def error(image: Tensor) -> Tensor:
        depth, counted = seen(image)
        target = prepared.batch.depth
        assert target is not None
        gap = torch.where(counted, depth, 1.0).clamp_min(FLOOR).log() - torch.where(counted, target, 1.0).log()
        return masked_mean(gap.abs(), counted, dim=(1, 2, 3))

    found = {}
    for attack, image in worse_images(error, prepared.batch.image, epsilon, name).items():
        depth, counted = seen(image)
        whole = prepared.valid & place(counted, prepared, rules, fill=True)
        values, _ = per_image(
            place(depth, prepared, rules), prepared.depth, whole, delta_inclusive=rules.delta_inclusive
        )
        found[attack] = values.cpu()
    return found


def worse_images(
    error: Callable[[Tensor], Tensor], image: Tensor, epsilon: float, name: str = "the model"
) -> dict[str, Tensor]:
    """Return images with a greater error by attack, B x 3 x H x W in 0..1 within ``epsilon`` of ``image``.

    error: B errors of images, each a function of its own image.

    Raises:
        ConfigError: no gradient reaches the image.
    """
    start = image.detach()
    value, slope = _slope(error, start, name)
    made = {"fgsm": _within(start + epsilon * slope.sign(), start, epsilon)}
    most, worst, shown = value, start, start
    for step in range(STEPS):
        shown = _within(shown + SHARE * epsilon * slope.sign(), start, epsilon)
        if step + 1 < STEPS:
            value, slope = _slope(error, shown, name)
        else:
            value = error(shown)
        greater = value > most
        most = torch.where(greater, value, most)
        worst = torch.where(greater.view(-1, 1, 1, 1), shown, worst)
    return {**made, "pgd": worst}


def check_perturbed(models: Mapping[str, nn.Module], epsilon: float) -> None:
    """Refuse models that cannot be attacked, and a ball that is none.

    Raises:
        ConfigError: the model, or the number.
    """
    if not 0 < epsilon <= 1:
        raise ConfigError(f"--perturb {epsilon:g} is no change of colours of 0..1; write for example 2/255")
    for name, model in models.items():
        if not getattr(model, "differentiable", True) or hasattr(model, "from_batch"):
            raise _no_gradient(name)


def parse_epsilon(text: str) -> float:
    """Return what ``--perturb`` says, a number or a fraction such as 2/255.

    Raises:
        ConfigError: it is neither, or not above 0 and at most 1.
    """
    over, slash, under = text.partition("/")
    try:
        value = float(over) / (float(under) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not 0 < value <= 1:
        raise ConfigError(f"--perturb '{text[:40]}' is no number above 0 and at most 1; write for example 2/255")
    return value


def _slope(error: Callable[[Tensor], Tensor], image: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Return the errors of images and the gradient of each by its image; 0 where that is not finite."""
    with torch.enable_grad():
        leaf = image.detach().clone().requires_grad_()
        value = error(leaf)
        if not value.requires_grad:
            raise _no_gradient(name)
        (slope,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    if slope is None:
        raise _no_gradient(name)
    return value.detach(), torch.where(torch.isfinite(slope), slope, 0.0)


def _within(image: Tensor, start: Tensor, epsilon: float) -> Tensor:
    return torch.minimum(torch.maximum(image, start - epsilon), start + epsilon).clamp(0, 1)


def _no_gradient(name: str) -> ConfigError:
    return ConfigError(
        f"model '{name}' gives no gradient to its image, which --perturb needs; give a run, a .safetensors student or "
        "a teacher that is a network, or leave it out"
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
