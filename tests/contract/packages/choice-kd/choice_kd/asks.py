"""A loss that asks teachers for parts of the batch in any order, and looks whether each answers for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from kdcli.maps import at_size, masked_mean
from kdcli.protocols import API_VERSION, StepContext, View
from kdcli.types import POSITIVE_DEPTH, Needs, Prediction


class Asks:
    """Notes how many targets were those of another teacher, or of other cameras."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH, teachers=(1, None))
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()

    def __init__(self, *, orders: int = 30) -> None:
        self.orders = orders

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return a term that moves the student a little."""
        views, size = list(ctx.teachers.values()), ctx.student.out.depth.shape[-2:]
        wrong, device = 0, ctx.batch.image.device
        for _ in range(self.orders):
            order = torch.randperm(len(ctx.batch), generator=ctx.generator, device=device)
            first = 0
            for number in torch.randperm(len(views), generator=ctx.generator, device=device).tolist():
                index = order[first : first + 1 + number % 2]
                first += len(index)
                if not len(index):
                    continue
                depth, _ = ctx.target(views[number].subset(index))  # nobody keeps the view
                wrong += not torch.equal(depth, _alone(views[number], ctx, index, (int(size[0]), int(size[1]))))
        ctx.note("wrong", wrong)
        depth, valid = ctx.target(views[0])
        return {"term": masked_mean((ctx.student.out.depth - depth).abs(), valid)}


def _alone(view: View, ctx: StepContext, index: Tensor, size: tuple[int, int]) -> Tensor:
    """Ask the bare network, and read its depth out for the cameras of these images."""
    with torch.no_grad():
        said: Prediction = view.model(ctx.batch.image[index])
    depth, cameras = said.depth, ctx.batch.intrinsics
    read = getattr(view.model, "read_out", None)
    if read is not None and read.focal is not None and cameras is not None:
        depth = depth * (cameras[index, 0] / read.focal).view(-1, 1, 1, 1)
    return at_size(Prediction(depth=depth, kind=said.kind), size)[0]
