"""The transformation network learned together with the student: one optimiser step for both in each iteration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.protocols import API_VERSION
from kdcli.transform.fit import content_gap
from kdcli.transform.recorded import Statistics, probe_for
from kdcli.transform.statistics import Norm, Probe

if TYPE_CHECKING:
    from kdcli.protocols import MixContext, StepContext
    from kdcli.transform.network import TransformNetwork
    from kdcli.types import Batch


class JointTransform(nn.Module):
    """A mixer that transforms images with a network that learns, and the terms by which it does.

    ``terms`` runs the teacher once more, with gradient to the image: distance of its feature statistics, divided by
    that of the first batch, plus ``content`` times the change of luminance gradients, as in a fit on its own. Images
    that the share leaves as they are take no part in it. ``lr_scale``: its learning rate as a factor of the stage's.
    """

    api_version: ClassVar[int] = API_VERSION
    start: Tensor

    def __init__(
        self, network: TransformNetwork, *, probability: float = 1.0, content: float = 1.0, norm: Norm = "relative",
        layers: Sequence[str] = (), weights: Mapping[str, float] | None = None, first: float = 1.0,
        statistics: Statistics | None = None, lr_scale: float = 1.0,
    ) -> None:
        """Take the network.

        Raises:
            ConfigError: a share outside 0..1.
        """
        super().__init__()
        if not 0 < probability <= 1:
            raise ConfigError(f"transformation network: share {probability} must be above 0 and at most 1")
        self.network, self.probability, self.content, self.lr_scale = network, probability, content, lr_scale
        self.norm, self.layers, self.weights, self.first = norm, tuple(layers), dict(weights or {}), first
        self.statistics = statistics
        self._probe: tuple[nn.Module, Probe] | None = None
        self.register_buffer("start", torch.zeros(()))
        self._pair: tuple[Tensor, Tensor] | None = None

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with transformed images, which carry the graph to the network."""
        with torch.autocast(batch.image.device.type, enabled=False):
            moved: Tensor = self.network(batch.image.float())
        self._pair = (moved, batch.image)
        moved = moved.to(batch.image.dtype)
        if self.probability < 1:
            draw = torch.rand(len(batch), 1, 1, 1, generator=ctx.generator, device=moved.device)
            moved = torch.where(draw < self.probability, moved, batch.image)
        return replace(batch, image=moved, taught=None)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the distance of the teacher's statistics and the content term, weighted.

        Raises:
            ConfigError: several teachers, or one without statistics or without a gradient to its image.
        """
        if self._pair is None:
            return {}
        moved, image = self._pair
        self._pair = None
        teacher = ctx.teacher
        with self.probe(teacher.model) as probe:
            teacher.call(moved)
            distance = probe.loss()
        if torch.is_grad_enabled() and not distance.requires_grad:
            raise ConfigError("the teacher cuts the gradient to its image; use --transform FILE, or another teacher")
        with torch.no_grad():
            self.start.copy_(torch.where(self.start > 0, self.start, distance.detach().clamp(min=1e-12)))
        return {"statistics": distance / self.start, "content": self.content * content_gap(moved, image)}

    def probe(self, teacher: nn.Module) -> Probe:
        """Return what measures a teacher, made once.

        Raises:
            ConfigError: the teacher has no statistics, or not the layers.
        """
        if self._probe is None or self._probe[0] is not teacher:
            found = probe_for(
                teacher, self.statistics, norm=self.norm, layers=self.layers, weights=self.weights, first=self.first
            )
            # In a tuple, which keeps the teacher out of this module's tree.
            self._probe = (teacher, found)
        return self._probe[1]
