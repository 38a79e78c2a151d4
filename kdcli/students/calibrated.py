"""A student whose numbers are brought to metres by a small formula behind its network.

``metres = scale * (x + offset) ** exponent``, where x is what the network says. One formula for a scale (of disparity
with exponent -1), for a scale and an exponent in log depth (log metres = log scale + exponent * log x), and for a scale
and a shift of depth or disparity. It stands in the student's file, and in the graph of whatever is exported of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.maps import widen
from kdcli.networks.read_out import read_out_of
from kdcli.types import POSITIVE_DEPTH, DepthKind, MadeFor, Prediction, Tap

FLOOR = 1e-6
"""Least number that a power is taken of."""
STEEPEST = 10.0
"""Greatest exponent, and one over the least, that may be meant."""
GREATEST = 1e12
"""Greatest scale or offset, and one over the least scale, that may be meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The formula, what the network's own numbers mean, and the ends of the metres that come of it."""

    scale: float
    exponent: float = 1.0
    offset: float = 0.0
    kind: DepthKind
    near: float
    far: float

    def metres(self, x: float) -> float:
        """Return what one number of the network means, within the ends where they hold."""
        base = max(x + self.offset, 0.0 if self.exponent > 0 else FLOOR)
        try:
            found = float(self.scale * base**self.exponent)
        except OverflowError:
            found = math.inf
        return min(max(found, self.near), self.far) if self.clamped else found

    @property
    def clamped(self) -> bool:
        """Whether metres are kept between the ends: numbers of unknown offset go anywhere, positive ones do not."""
        return self.kind not in POSITIVE_DEPTH

    def after(self, scale: float, exponent: float, near: float, far: float) -> Calibration:
        """Return one formula for this one and a scale and exponent of its metres; ``fault`` says whether it may be."""
        return replace(
            self, scale=scale * self.scale**exponent, exponent=self.exponent * exponent, near=near, far=far
        )

    def fault(self) -> str | None:
        """Return what no calibration may have, as half a sentence; None where all is well."""
        if not 1 / GREATEST <= self.scale <= GREATEST:
            return f"scale of calibration is {self.scale:g}, not within {1 / GREATEST:g} to {GREATEST:g}"
        sign = -1 if self.kind.is_disparity else 1
        if not 1 / STEEPEST <= sign * self.exponent <= STEEPEST:
            low, high = sorted((sign / STEEPEST, sign * STEEPEST))
            return f"exponent of calibration is {self.exponent:g}, which {self.kind} cannot have ({low:g} to {high:g})"
        if not abs(self.offset) <= GREATEST:
            return f"offset of calibration is {self.offset:g}, no number that may be meant"
        if self.offset and not self.clamped:
            return f"offset of calibration is {self.offset:g}, which {self.kind} cannot have"
        if not 0 <= self.near < self.far <= GREATEST or (self.clamped and not self.near):
            return f"depth_range is {self.near:g} to {self.far:g}, which are no ends of metres"
        return None

    def document(self) -> dict[str, Any]:
        """Return it for a card; the ends are the card's own ``depth_range``."""
        return {
            "scale": self.scale, "exponent": self.exponent, "offset": self.offset, "network_kind": str(self.kind),
        }


def read(document: Any, kind: DepthKind, ends: tuple[float, float]) -> Calibration:
    """Return what a card says.

    kind, ends: depth kind and range of the whole student.

    Raises:
        ValueError: it is no calibration; the message is half a sentence.
    """
    if not isinstance(document, Mapping):
        raise ValueError("calibration is no JSON object")
    found = {key: document.get(key) for key in ("scale", "exponent", "offset")}
    for key, value in found.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"{key} of calibration is {str(value)[:40]}, no number")
        found[key] = _float(value)
    own = document.get("network_kind")
    if own not in list(DepthKind):
        raise ValueError(f"network_kind of calibration is {str(own)[:40]}, not one of {', '.join(DepthKind)}")
    made = Calibration(**found, kind=DepthKind(own), near=float(ends[0]), far=float(ends[1]))  # type: ignore[arg-type]
    if kind is not DepthKind.METRIC:
        raise ValueError(f"it is calibrated, but its depth_kind is {kind}, not metric")
    if wrong := made.fault():
        raise ValueError(wrong)
    return made


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of many digits
        return math.inf


class Calibrated(nn.Module):
    """A student in metres: a network, then a calibration. What tells of the depth beside it is brought along.

    Bins keep their probabilities and get other centres; with an exponent the depth is that of the network's own
    expectation.
    """

    depth_kind = DepthKind.METRIC
    scale: Tensor
    exponent: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, calibration: Calibration) -> None:
        """Wrap a network, whose ``depth_kind`` is that of the calibration."""
        super().__init__()
        self.network, self.calibration = network, calibration
        for name in ("scale", "exponent", "offset"):
            self.register_buffer(name, torch.tensor(getattr(calibration, name), dtype=torch.float32))
        self.depth_range = (calibration.near, calibration.far)
        self.architecture = getattr(network, "architecture", "")
        self.taps: Mapping[str, Tap] = {
            key: Tap(module=f"network.{tap.module}", stride=tap.stride, channels=tap.channels)
            for key, tap in network.taps.items()  # type: ignore[union-attr,operator]
        }
        read = read_out_of(network)
        low, high = sorted(calibration.metres(end) for end in read.clip) if read.clip else (0.0, 0.0)
        self.read_out = replace(read, clip=(low, high) if read.clip else None)
        self.bounded = calibration.clamped or getattr(network, "bounded", True)
        self.input_size = getattr(network, "input_size", None)
        self.made_for: MadeFor | None = getattr(network, "made_for", None)

    def forward(self, image: Tensor) -> Prediction:
        """Predict metres."""
        said: Prediction = self.network(image)
        probs, centers = said.probs, said.centers
        if centers is not None:
            centers = self.metres(centers)
            if self.calibration.exponent < 0:  # what was nearest last is now first
                centers = centers.flip(-1)
                probs = None if probs is None else probs.flip(1)
        return replace(
            said, kind=self.depth_kind, depth=self.metres(said.depth), probs=probs, centers=centers,
            aux=tuple(self.metres(one) for one in said.aux), branches=tuple(self.metres(one) for one in said.branches),
            std=None if said.std is None else widen(said.std) * self._steepness(said.depth),
        )

    def metres(self, x: Tensor) -> Tensor:
        """Return numbers of the network as metres, in their own shape."""
        return self.scale * self._power(self._base(x))

    def _power(self, base: Tensor) -> Tensor:
        exponent = self.calibration.exponent
        if exponent == 1:
            return base
        return base.reciprocal() if exponent == -1 else base.pow(self.exponent)

    def _base(self, x: Tensor) -> Tensor:
        """Return what the power is taken of, cut so that metres lie between their ends where these hold."""
        form, base = self.calibration, widen(x)
        if form.clamped:
            low, high = sorted((end / form.scale) ** (1 / form.exponent) for end in (form.near, form.far))
            return (base + self.offset).clamp(low, high)
        return base if form.exponent == 1 else base.clamp(min=FLOOR)

    def _steepness(self, x: Tensor) -> Tensor:
        """Return by how much metres change with the network's number, without sign."""
        base = self._base(x)
        return (self.exponent * self.scale * self._power(base) / base.clamp(min=FLOOR)).abs()
