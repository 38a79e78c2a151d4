"""Residual KD's student (arXiv 2002.09168), reconstruction: a base network and the assistant that corrects it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

import kdcli
from kdcli.errors import SpecError
from kdcli.maps import widen
from kdcli.networks.taps import TapReader, locate
from kdcli.protocols import API_VERSION
from kdcli.spec import members
from kdcli.types import DepthKind, Prediction, Tap
from kdcli_zoo.shared.ranges import in_range

Form = Literal["feature", "log-depth"]

HALVES = "[mobilenet,width=0.75,decoder=10|mobilenet,width=0.5,decoder=10]"
"""Two networks that cost less together than ``mobilenet`` alone, in multiply-adds and in parameters."""
FEATURE = "pre_head"
"""The feature in which the two are summed: what the base's depth head sees."""
FLOOR = 1e-3
"""Least depth before its logarithm is taken."""


class ResidualPair(nn.Module):
    """Reconstruction of Residual KD's student: ``residual:[BASE|ASSISTANT]``, two students deployed as one network.

    ``form=feature`` adds the assistant's last feature to the base's, before the base's depth head (the paper's way);
    through a convolution 1x1 that begins at zero, so that the pair begins as its base. ``form=log-depth`` adds a
    correction to the base's log depth: simpler, and for networks without a ``pre_head``. Modules ``base`` and
    ``assistant`` are what stages freeze. Taps: ``halves``, what base and assistant add to the sum, one behind the other
    along the channels; ``pre_head``, the sum (``form=feature``); and those of the base.
    """

    api_version: ClassVar[int] = API_VERSION
    any_kind = True
    depth_kind: DepthKind

    def __init__(self, location: str = HALVES, *, form: Form = "feature", max_depth: float | None = None) -> None:
        """Build both networks; ``max_depth`` is that of both where their specs do not say otherwise.

        Raises:
            SpecError: not two networks, or one without a ``pre_head``.
        """
        super().__init__()
        if form not in ("feature", "log-depth"):
            raise SpecError(f"residual: form={form} is unknown; use feature or log-depth")
        specs = halves(location)
        base, other = (_within(spec, max_depth) for spec in specs)
        self.form = form
        self.base: nn.Module = base
        self.assistant = _Assistant(other, form, _channels(base, form))
        self.halves, self.sum = nn.Identity(), nn.Identity()  # where taps look
        self.depth_kind, self.depth_range = base.depth_kind, base.depth_range
        self.bounded = form == "log-depth" or getattr(base, "bounded", True)
        for name in ("read_out", "input_size"):
            if hasattr(base, name):
                setattr(self, name, getattr(base, name))
        parts = [str(getattr(net, "architecture", spec)) for net, spec in zip((base, other), specs, strict=True)]
        self.architecture = f"residual:[{'|'.join(parts)}],form={form}"
        self.taps = self._name_taps()

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at the base's resolution, B x 1 x h x w."""
        if self.form == "feature":
            extra = self.assistant(image)
            with self._joined(extra):
                said: Prediction = self.base(image)
            return replace(said, kind=self.depth_kind)
        said = self.base(image)
        logs = self._added(widen(said.depth).clamp_min(FLOOR).log(), self.assistant(image))
        near, far = self.depth_range
        return Prediction(depth=logs.exp().clamp(max(near, FLOOR), far), kind=self.depth_kind)

    def begin_at(self, depth: float) -> None:
        """Begin at a depth in metres: the base does, the assistant adds nothing yet."""
        if hasattr(self.base, "begin_at"):
            self.base.begin_at(depth)  # type: ignore[operator]

    @contextmanager
    def _joined(self, extra: Tensor) -> Iterator[None]:
        """Let the assistant's feature be added to the base's while that runs."""

        def add(module: nn.Module, inputs: Any, feature: Tensor) -> Tensor:
            return self._added(feature, extra)

        handle = locate(self.base, FEATURE).register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()

    def _added(self, mine: Tensor, extra: Tensor) -> Tensor:
        extra = resized(extra, mine)
        self.halves(torch.cat([mine, extra], dim=1))
        summed: Tensor = self.sum(mine + extra)
        return summed

    def _name_taps(self) -> dict[str, Tap]:
        known: Mapping[str, Tap] = self.base.taps  # type: ignore[assignment]
        taps = {
            name: Tap(module=f"base.{tap.module}", stride=tap.stride, channels=tap.channels)
            for name, tap in known.items() if name != FEATURE
        }
        at = known.get(FEATURE, Tap(module="", stride=1, channels=1))
        channels = at.channels if self.form == "feature" else 1
        taps["halves"] = Tap(module="halves", stride=at.stride, channels=2 * channels)
        if self.form == "feature":
            taps[FEATURE] = Tap(module="sum", stride=at.stride, channels=channels)
        return taps


class _Assistant(nn.Module):
    """A network that adds to another one's feature or log depth: nothing before it has learned anything."""

    def __init__(self, network: nn.Module, form: Form, channels: int) -> None:
        super().__init__()
        self.network, self.form = network, form
        if form == "feature":
            self.adapter = nn.Conv2d(_channels(network, form), channels, 1, bias=False)
            nn.init.zeros_(self.adapter.weight)
        else:
            self.gain = nn.Parameter(torch.zeros(1))
            near, far = (float(end) for end in network.depth_range)  # type: ignore[union-attr]
            self.middle = math.log(max(near, FLOOR) * far) / 2

    def forward(self, image: Tensor) -> Tensor:
        """Return what is to be added, B x C x h x w at the network's own resolution."""
        if self.form == "log-depth":
            said: Prediction = self.network(image)
            return self.gain * (widen(said.depth).clamp_min(FLOOR).log() - self.middle)
        with TapReader(self.network, [FEATURE]) as reader:
            self.network(image)
        feature: Tensor = self.adapter(reader.features[FEATURE])
        return feature


def halves(location: str) -> tuple[str, str]:
    """Return the specs of ``[BASE|ASSISTANT]``.

    Raises:
        SpecError: not two.
    """
    found = members(location)
    if len(found) != 2:
        raise SpecError(f"residual:{location} names {len(found)} networks; write residual:[BASE|ASSISTANT]")
    return found[0], found[1]


def _within(spec: str, max_depth: float | None) -> Any:
    return kdcli.build("student", spec) if max_depth is None else in_range(spec, max_depth)


def _channels(network: nn.Module, form: Form) -> int:
    taps: Mapping[str, Tap] = network.taps  # type: ignore[assignment]
    if form == "log-depth":
        return 1
    if FEATURE not in taps:
        raise SpecError(
            f"residual: {type(network).__name__} has no feature '{FEATURE}' to sum; use form=log-depth, or networks "
            "such as mobilenet"
        )
    return taps[FEATURE].channels


def resized(feature: Tensor, like: Tensor) -> Tensor:
    """Return a feature at the height and width of another one."""
    if feature.shape[-2:] == like.shape[-2:]:
        return feature
    return functional.interpolate(feature, size=like.shape[-2:], mode="bilinear", align_corners=False)
