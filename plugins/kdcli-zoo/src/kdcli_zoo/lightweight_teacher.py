"""LW-KD (Liu et al., arXiv 2005.09163), reconstruction: a light teacher of simple synthetic images shapes the labels.

The paper's teacher never sees the target's images: for a sample of class y the soft target is what it says of
synthetic samples of class y. For depth a class is a bin; the target of a pixel is the mean distribution that a light
teacher gives pixels of simulated images whose true depth lies in the same bin: ordinal label smoothing that was
learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import full_precision, masked_mean, widen
from kdcli.protocols import API_VERSION
from kdcli.types import ANY_KIND, Needs, Prediction
from kdcli_zoo.shared.bins import check_bins, resample

if TYPE_CHECKING:
    from kdcli.protocols import StepContext

LEAST = 1e-8
"""Smallest probability before its logarithm is taken."""


class LightweightTeacher(nn.Module):
    """Reconstruction: cross-entropy to the true bin, divergence from the learned soft label, and an adversarial term.

    Terms: ``hard``, -ln q[bin(d*)]; ``soft``, T^2 KL(label^(1/T) || q^(1/T)) with T = ``temperature``; ``adversarial``,
    -ln D(q), what a critic D of distributions says of the student's. Means over pixels whose true depth is known; q is
    the student's distribution brought to ``bins`` depths, even in the logarithm, from end to end of its range.

    ``role=teacher`` is for the stage that trains the light teacher, under the same name: it has the term ``hard`` alone
    and gathers the labels, the mean distribution for each true bin, once the share ``gather`` of its steps is done.
    ``role=student`` uses them; the label of a bin that was never met is that bin alone.

    The critic looks at one pixel's distribution at a time, through two layers of ``width``, and is trained by itself,
    with learning rate ``critic_lr``, to tell labels from distributions of the student.
    """

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=ANY_KIND, outputs=frozenset({"probs", "centers"}), ground_truth=True, teachers=(1, None))
    value_at_equality = math.nan
    invariances: frozenset[str] = frozenset()
    sums: Tensor
    count: Tensor
    ends: Tensor

    def __init__(
        self, *, role: Literal["student", "teacher"] = "student", bins: int = 64, temperature: float = 1.0,
        gather: float = 0.75, width: int = 64, critic_lr: float = 1e-3,
    ) -> None:
        """Make the critic; labels come from the stage of the light teacher.

        Raises:
            SpecError: a number that does not hold.
        """
        super().__init__()
        if role not in ("student", "teacher"):
            raise SpecError(f"lightweight-teacher: role={role} is unknown; use student or teacher")
        check_bins(bins, 1.0, 0.1, 10.0)
        if not 0 < temperature < math.inf:
            raise SpecError(f"lightweight-teacher: temperature={temperature} must be above 0; for example 1")
        if not 0 <= gather < 1:
            raise SpecError(f"lightweight-teacher: gather={gather} is no share of the steps; use 0 to below 1")
        if not 1 <= width <= 4096 or not 0 < critic_lr < math.inf:
            raise SpecError(f"lightweight-teacher: width={width}, critic_lr={critic_lr} is no critic; use 64 and 1e-3")
        self.role, self.bins, self.temperature, self.gather = role, bins, temperature, gather
        self.inner_lr = critic_lr
        self.inner_steps = 1 if role == "student" else 0
        self.critic = nn.Sequential(
            nn.Conv2d(bins, width, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, width, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 1),
        )
        # Buffers, so that they go into checkpoints and on to the stage of the student.
        self.register_buffer("sums", torch.zeros(bins, bins, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(bins, dtype=torch.float64))
        self.register_buffer("ends", torch.tensor([math.nan, math.nan], dtype=torch.float64))

    def build(self, ctx: StepContext) -> None:
        """Take the range of the bins from the network that learns; a later stage goes on with the first one's."""
        near, far = (float(end) for end in ctx.student.model.depth_range)  # type: ignore[union-attr]
        logs = [math.log(max(near, 1e-3 * far)), math.log(far)]
        self.ends.copy_(torch.tensor(logs, dtype=torch.float64))

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the terms; 0 each where no depth is known."""
        truth, valid = ctx.truth()
        with full_precision(truth.device):
            logs = self._said(ctx.student.out)
            at = bin_of(truth, self._centers(logs))
            hard = masked_mean(-logs.gather(1, at), valid)
            if self.role == "teacher":
                return {"hard": hard}
            frozen = {name: value.detach() for name, value in self.critic.named_parameters()}
            judged = functional_call(self.critic, frozen, (_shown(logs.exp()),))
            soft = divergence(logs, self._labels(at, logs), valid, self.temperature)
            return {"hard": hard, "soft": soft, "adversarial": fooling(judged, valid)}

    def inner_parameters(self) -> Iterable[nn.Parameter]:
        """Return the critic's."""
        return self.critic.parameters()

    def inner_loss(self, ctx: StepContext) -> Tensor:
        """Return how badly the critic tells labels from what the student says."""
        truth, valid = ctx.truth()
        with full_precision(truth.device):
            logs = self._said(ctx.student.out).detach()
            labels = self._labels(bin_of(truth, self._centers(logs)), logs)
            real, made = self.critic(_shown(labels)), self.critic(_shown(logs.exp()))
            loss = critic_loss(real, made, valid)
        ctx.note("critic", loss)
        return loss

    def after_step(self, ctx: StepContext) -> None:
        """Add what the light teacher says of pixels of each bin to the labels."""
        if self.role == "student" or ctx.progress < self.gather:
            return
        truth, valid = ctx.truth()
        logs = self._said(ctx.student.out)
        at = bin_of(truth, self._centers(logs))
        sums, count = gathered(logs.exp(), at, valid)
        self.sums += sums.to(self.sums.dtype)
        self.count += count.to(self.count.dtype)

    def _centers(self, like: Tensor) -> Tensor:
        low, high = self.ends.to(like.dtype)
        steps = torch.arange(self.bins, device=like.device, dtype=like.dtype) / (self.bins - 1)
        centers: Tensor = low + (high - low) * steps
        return centers

    def _said(self, said: Prediction) -> Tensor:
        """Return log probabilities over the loss's own bins, B x K x h x w."""
        assert said.probs is not None and said.centers is not None
        probs, own = widen(said.probs), widen(said.centers).clamp_min(1e-6).log()
        return resample(probs, own, self._centers(probs)).clamp_min(LEAST).log()

    def _labels(self, at: Tensor, like: Tensor) -> Tensor:
        """Return the soft label of each pixel, B x K x h x w."""
        table = soft_labels(self.sums, self.count).to(like.dtype)
        labels: Tensor = table[at[:, 0]].permute(0, 3, 1, 2)
        return labels


def bin_of(depth: Tensor, log_centers: Tensor) -> Tensor:
    """Return the nearest of K even log centres of depth B x 1 x h x w, as indices of the same shape."""
    step = log_centers[1] - log_centers[0]
    place = (widen(depth).clamp_min(1e-6).log() - log_centers[0]) / step
    return place.round().clamp(0, len(log_centers) - 1).long()


def gathered(probs: Tensor, at: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums K x K of distributions B x K x h x w by the true bin of their pixels, and how many these are."""
    count = probs.shape[1]
    member = functional.one_hot(at[:, 0], count).to(probs.dtype) * valid[:, 0, ..., None]
    return torch.einsum("bhwk,bjhw->kj", member, probs), member.sum(dim=(0, 1, 2))


def soft_labels(sums: Tensor, count: Tensor) -> Tensor:
    """Return K x K: in row k the mean distribution of pixels of bin k; that bin alone where there were none."""
    alone = torch.eye(len(count), dtype=sums.dtype, device=sums.device)
    return torch.where(count[:, None] > 0, sums / count.clamp_min(1)[:, None], alone)


def divergence(logs: Tensor, labels: Tensor, valid: Tensor, temperature: float = 1.0) -> Tensor:
    """Return T^2 times the mean over valid pixels of KL(label^(1/T) || q^(1/T)), both normalised anew, in nats.

    logs: ln q, B x K x h x w. labels: distributions of the same shape; one-hot ones give the cross-entropy for T = 1.
    """
    if temperature != 1:
        logs = (logs / temperature).log_softmax(dim=1)
        labels = (labels.clamp_min(LEAST).log() / temperature).softmax(dim=1)
    own = torch.where(labels > 0, labels * labels.clamp_min(LEAST).log(), 0.0)
    return temperature**2 * masked_mean((own - labels * logs).sum(dim=1, keepdim=True), valid)


def critic_loss(real: Tensor, made: Tensor, valid: Tensor) -> Tensor:
    """Return -ln D(real) - ln(1 - D(made)), mean over valid pixels, from logits B x 1 x h x w: 2 ln 2 where D = 0.5."""
    return masked_mean(functional.softplus(-real) + functional.softplus(made), valid)


def fooling(made: Tensor, valid: Tensor) -> Tensor:
    """Return -ln D(made), mean over valid pixels, from logits B x 1 x h x w."""
    return masked_mean(functional.softplus(-made), valid)


def _shown(probs: Tensor) -> Tensor:
    """Return what the critic sees of distributions: 0 to a few units, whatever the number of bins."""
    return (probs * probs.shape[1]).log1p()
