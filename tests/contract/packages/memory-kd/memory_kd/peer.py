"""Networks that learn beside the student: one of the same age, or the average of its own past."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

import kdcli
from kdcli.maps import at_size, masked_mean, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs


class Peer(nn.Module):
    """Mutual learning: each of two networks learns from the other one, and the peer from the teacher as well.

    network: a student's spec, in brackets where it holds commas.
    """

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH)
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()
    exempt: ClassVar[Mapping[str, str]] = {
        "finite differences": "each of the two networks sees the other one without gradient",
    }

    def __init__(self, *, network: str = "tiny") -> None:
        super().__init__()
        self.network = kdcli.build("student", network.removeprefix("[").removesuffix("]"))

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the peer, which a run keeps."""
        return {"network": self.network}

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return what each of the two has to learn; no gradient crosses."""
        target, valid = ctx.target()
        mine, theirs = _log(ctx.student.out.depth), self._asked(ctx)
        return {
            "student": masked_mean((mine - theirs.detach()).abs(), valid),
            "peer": masked_mean((theirs - mine.detach()).abs() + (theirs - _log(target)).abs(), valid),
        }

    def _asked(self, ctx: StepContext) -> Tensor:
        """Return the peer's logarithm of depth at the student's size."""
        height, width = ctx.student.out.depth.shape[-2:]
        return _log(at_size(self.network(ctx.batch.image), (int(height), int(width)))[0])


class MeanPeer(nn.Module):
    """The student's own past, averaged after every update."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH)
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, decay: float = 0.9) -> None:
        super().__init__()
        self.decay = decay
        self.average: nn.Module = nn.Identity()

    def build(self, ctx: StepContext) -> None:
        """Begin with the student as it is."""
        self.average = copy.deepcopy(ctx.student.model).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> MeanPeer:
        """Keep the average as it is judged: running statistics, no dropout."""
        super().train(mode)
        self.average.eval()
        return self

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return how far the student has gone from its past."""
        with torch.no_grad():
            before = _log(self.average(ctx.batch.image).depth)
        return {"past": (_log(ctx.student.out.depth) - before).square().mean()}

    def after_step(self, ctx: StepContext) -> None:
        """Move the average towards the student."""
        now = ctx.student.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(now[name], 1 - self.decay)
            else:
                value.copy_(now[name])
        weights = zip(self.average.parameters(), ctx.student.model.parameters(), strict=True)
        ctx.note("distance", torch.stack([(mean - own).abs().mean() for mean, own in weights]).mean())


def _log(depth: Tensor) -> Tensor:
    return widen(depth).clamp_min(1e-3).log()
