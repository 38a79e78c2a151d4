"""Mixed images are labelled by what the teacher said of both images before, put together at the mask."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

import kdcli
from kdcli.maps import at_size
from kdcli.protocols import API_VERSION
from kdcli.types import Needs

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class Composed(nn.Module):
    """Object-wise mixing whose depth is m * D(b) + (1 - m) * D(a), D the teacher's answer to each image alone.

    The stage's teacher is then ``ground-truth``, which reads that depth: the teacher has no second look at the mixed
    image. Images come as they are to be looked at (``carried`` before it, where a transformation is wanted). teacher:
    its spec. probability: as of mixer ``object``, whose other options are as they are when nothing is said.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, *, teacher: str = "demo", probability: float = 1.0) -> None:
        """Build teacher and mixer."""
        super().__init__()
        self._object = kdcli.build("mixer", f"object,probability={probability}")
        self.needs = Needs(instances=True)
        self.teacher = kdcli.build("teacher", teacher).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Composed:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with objects pasted in, and the composed depth as its own."""
        said, known = at_size(self.teacher(batch.image), (batch.image.shape[-2], batch.image.shape[-1]))
        drawn: list[torch.Tensor] = []
        mixed: Batch = self._object.mix(replace(batch, depth=None, valid=None, labelled=None), _Noting(ctx, drawn))
        assert batch.instances is not None and mixed.instances is not None
        pasted = mixed.instances > batch.instances.flatten(1).amax(1).view(-1, 1, 1)
        depth, valid = (torch.where(pasted[:, None], one[drawn[0]], one) for one in (said, known))
        return replace(
            mixed, depth=depth, valid=valid,
            labelled=torch.ones(len(batch), dtype=torch.bool, device=depth.device),
        )


class _Noting:
    """A context that keeps whom images were mixed with."""

    def __init__(self, ctx: MixContext, drawn: list[torch.Tensor]) -> None:
        self._ctx, self._drawn = ctx, drawn

    def note(self, name: str, value: torch.Tensor) -> None:
        if name == "partners":
            self._drawn.append(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)
