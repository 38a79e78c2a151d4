"""Deep mutual learning (Zhang et al., arXiv 1706.00384), one of the nine methods of arXiv 2007.01922.

Two students learn side by side: each from the teacher, and each from the other one. The second, of another
architecture, belongs to the loss: the main optimiser trains it along, and a run keeps it as a student's file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

import kdcli
from kdcli.errors import SpecError
from kdcli.maps import at_size, full_precision, masked_mean, masked_median, widen
from kdcli.protocols import API_VERSION
from kdcli.spec import parse
from kdcli.types import POSITIVE_DEPTH, Needs, Prediction
from kdcli_zoo.shared.bins import check_bins, log_centers, log_distribution, resample
from kdcli_zoo.shared.ranges import in_range

if TYPE_CHECKING:
    from kdcli.protocols import StepContext

FLOOR = 1e-3
"""Least depth before its logarithm is taken."""
PLAIN = (("log-l1", 1.0), ("gradient", 0.5))
"""What the peer learns from the teacher by: the losses of the recipe ``plain``."""


class Mutual(nn.Module):
    """Reconstruction: two networks that teach each other; no gradient crosses from one to the other.

    Terms: ``student``, how far the student is from its peer as the peer is; ``peer``, the same the other way; and
    ``taught``, what the peer learns from the teacher, by the losses of ``plain``.

    ``peer`` is a student's spec, in brackets where it holds commas; its range of depth is the student's where it does
    not say otherwise. ``form=depth`` compares log depth by its mean absolute difference. ``form=bins`` is the paper's
    divergence, KL(other || own), over ``bins`` depths: of the networks' own distributions, or of a bell of ``width`` in
    log depth around what a network without bins says, which makes it a squared error over 2 width^2.
    """

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH)
    value_at_equality = math.nan
    invariances: frozenset[str] = frozenset()
    exempt: ClassVar[Mapping[str, str]] = {
        "finite differences": "each of the two networks sees the other one without gradient",
    }

    def __init__(
        self, *, peer: str = "timm:mobilenetv3_small_100", form: Literal["depth", "bins"] = "depth", bins: int = 64,
        width: float = 0.1,
    ) -> None:
        """Read the peer's spec; it is built once the student's range is known.

        Raises:
            SpecError: no spec, or numbers that are no bins.
        """
        super().__init__()
        if form not in ("depth", "bins"):
            raise SpecError(f"mutual: form={form} is unknown; use depth or bins")
        check_bins(bins, width, 0.1, 10.0)
        self.spec = peer.removeprefix("[").removesuffix("]")
        parse(self.spec)
        self.form, self.bins, self.width = form, bins, width
        self.peer: nn.Module = nn.Identity()
        self._plain: list[tuple[Any, float]] = [(kdcli.build("loss", name), weight) for name, weight in PLAIN]

    def build(self, ctx: StepContext) -> None:
        """Make the peer: in the student's range, and beginning at the depth that is taught, as the student does.

        Raises:
            SpecError: no such student, or one whose numbers mean something else.
        """
        near, far = (float(end) for end in ctx.student.model.depth_range)  # type: ignore[union-attr]
        self.ends = near, far
        made: Any = in_range(self.spec, far)
        if getattr(made, "any_kind", False):
            made.depth_kind = ctx.student.out.kind
        if made.depth_kind != ctx.student.out.kind:
            raise SpecError(
                f"mutual: peer '{self.spec}' gives {made.depth_kind}, the student {ctx.student.out.kind}; choose a "
                "peer of that kind, such as mobilenet"
            )
        if hasattr(made, "begin_at"):
            level = masked_median(*ctx.target()).nanmedian()
            if torch.isfinite(level):
                made.begin_at(float(level))
        image = ctx.batch.image
        self.peer = made.to(device=image.device, dtype=widen(image).dtype, memory_format=torch.channels_last)
        self.peer.train(self.training)

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the peer, which a run keeps as ``stages/mutual.peer.safetensors``."""
        return {"peer": self.peer}

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return what each of the two has to learn."""
        target, valid = ctx.target()
        height, width = (int(side) for side in target.shape[-2:])
        mine, theirs = ctx.student.out, self.peer(ctx.batch.image)
        with full_precision(target.device):
            depth, _ = at_size(theirs, (height, width))
            taught = [weight * loss(depth, target, valid) for loss, weight in self._plain]
            first, second = self._said(mine, (height, width)), self._said(theirs, (height, width))
            return {
                "student": self._apart(first, second.detach(), valid),
                "peer": self._apart(second, first.detach(), valid),
                "taught": torch.stack(taught).sum(),
            }

    def _said(self, said: Prediction, size: tuple[int, int]) -> Tensor:
        """Return log depth, B x 1 x h x w, or log probabilities, B x K x h x w."""
        depth, _ = at_size(said, size)
        if self.form == "depth":
            return depth.clamp_min(FLOOR).log()
        centers = log_centers(max(self.ends[0], 1e-3 * self.ends[1]), self.ends[1], self.bins, like=depth)
        if said.probs is None or said.centers is None:
            return log_distribution(depth, centers, form="gaussian", width=self.width)
        probs = widen(said.probs)
        if tuple(probs.shape[-2:]) != size:
            probs = functional.interpolate(probs, size=size, mode="bilinear", align_corners=False, antialias=True)
        return resample(probs, widen(said.centers).clamp_min(FLOOR).log(), centers).clamp_min(1e-8).log()

    def _apart(self, own: Tensor, other: Tensor, valid: Tensor) -> Tensor:
        return masked_mean((own - other).abs(), valid) if self.form == "depth" else divergence(own, other, valid)


def divergence(own: Tensor, other: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over valid pixels of KL(other || own) of log probabilities B x K x h x w, in nats."""
    return masked_mean((other.exp() * (other - own)).sum(dim=1, keepdim=True), valid)
