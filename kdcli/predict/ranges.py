"""The range of a film's colours: one for the whole clip, found in a first pass, or one that follows slowly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from kdcli.colour import limits_of
from kdcli.errors import DataError
from kdcli.networks.shown_size import Asked
from kdcli.predict.looking import look
from kdcli.predict.videos import open_clip
from kdcli.predict.writing import Said
from kdcli.types import DepthKind

Limits = tuple[float, float]
LOOKS = 24
"""Frames, spread over a clip, that its range is taken from."""
FOLLOWS = 1.0
"""Seconds in which a running range comes 63 % of the way to that of the picture."""

_PIXELS = 20000


def how(model: nn.Module) -> dict[str, bool]:
    """Return how the colours of a model's numbers are spread, as options of ``kdcli.colour``."""
    kind = DepthKind(model.depth_kind)  # type: ignore[arg-type]
    return {"disparity": kind.is_disparity, "linear": kind is DepthKind.AFFINE_DEPTH}


def shared(models: Mapping[str, nn.Module]) -> list[list[str]]:
    """Return which models have one range together: all that speak of metres, and each other one alone."""
    metric = [name for name, model in models.items() if DepthKind(model.depth_kind) is DepthKind.METRIC]  # type: ignore[arg-type]
    return [*([metric] if metric else []), *([name] for name in models if name not in metric)]


def limits_together(models: Mapping[str, nn.Module], said: Mapping[str, Sequence[Said]]) -> dict[str, Limits]:
    """Return the range of each model's colours, from what was said of some pictures."""
    found: dict[str, Limits] = {}
    for names in shared(models):
        values, valid = [], []
        for one in (one for name in names for one in said[name]):
            step = max(1, one.depth.numel() // _PIXELS)
            values.append(one.depth.flatten()[::step])
            valid.append(one.valid.flatten()[::step])
        limits = limits_of(torch.cat(values)[None], torch.cat(valid)[None], **how(models[names[0]]))
        found |= dict.fromkeys(names, limits)
    return found


def limits_of_clip(
    models: Mapping[str, nn.Module], path: Path, device: torch.device | str, size: Asked | None, focal: float | None,
    most: int | None,
) -> dict[str, Limits]:
    """Return the ranges of a whole film, from frames that are spread evenly over it: the first of two passes.

    They are empty for a film without a picture.

    most: frames after which the film ends.
    """
    said: dict[str, list[Said]] = {name: [] for name in models}
    with open_clip(path) as clip:
        count = min(clip.count or LOOKS, most or clip.count or LOOKS)
        stride = max(1, math.ceil(count / LOOKS))
        shots = islice(clip.shots(), most)
        try:
            for shot in islice(shots, None, None, stride):
                for name, model in models.items():
                    said[name].append(_thin(look(model, shot.image, device, size, focal)))
        except DataError:  # the second pass says so, after it has written what there is
            if not all(said.values()):
                raise
    return limits_together(models, said) if all(said.values()) else {}


def _thin(said: Said) -> Said:
    """Return every so many rows and columns of a prediction: a clip's are kept together."""
    step = max(1, int(math.sqrt(said.depth.numel() / _PIXELS)))
    return replace(said, depth=said.depth[::step, ::step].clone(), valid=said.valid[::step, ::step].clone())


class Running:
    """Ranges that follow the picture slowly, for what cannot be seen twice."""

    def __init__(self, models: Mapping[str, nn.Module], step: Fraction) -> None:
        self._models, self._step = models, float(step)
        self._now: dict[str, Limits] = {}
        self._time = 0

    def at(self, time: int, said: Mapping[str, Said]) -> dict[str, Limits]:
        """Return the ranges for a picture; the first one's are its own."""
        own = limits_together(self._models, {name: [one] for name, one in said.items()})
        share = 1 - math.exp(-(time - self._time) * self._step / FOLLOWS)
        self._time = time
        for name, (low, high) in own.items():
            if not said[name].valid.any():
                own[name] = self._now.get(name, (low, high))
            elif name in self._now:
                before = self._now[name]
                own[name] = (before[0] + share * (low - before[0]), before[1] + share * (high - before[1]))
        self._now = own
        return own
