"""``kdcli`` with networks and images in float64: what differs then is no rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from kdcli.__main__ import main
from kdcli.training.batches.feed import Feed
from kdcli.training.loop import train
from kdcli.training.run import fit_stage, workshop
from kdcli.training.step import task
from kdcli.training.step.task import DistillTask
from kdcli.types import Batch


def widened(batch: Batch) -> Batch:
    """Return a batch of float64."""
    return batch.map_tensors(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def patch() -> None:
    """Let everything that trains be of float64."""
    torch.set_default_dtype(torch.float64)
    narrow = torch.Tensor.float
    # Heads and losses leave half precision by it, and would round what is twice as precise.
    torch.Tensor.float = lambda tensor: tensor if tensor.dtype is torch.float64 else narrow(tensor)  # type: ignore[method-assign]
    lay_out, augment, build = workshop._layout, train.augment_step, DistillTask.build
    fit_augment, begun = fit_stage.augment, workshop.Workshop.first

    def layout(model: nn.Module) -> nn.Module:
        return lay_out(model).double()

    def augmented(batch: Batch, *given: Any, **more: Any) -> Batch:
        return widened(augment(batch, *given, **more))

    def built(made: DistillTask, batch: Batch) -> None:
        made.double()
        build(made, widened(batch))
        made.double()

    def fitted(batch: Batch, *given: Any) -> Batch:
        return widened(fit_augment(batch, *given))

    def first(shop: workshop.Workshop, *given: Any) -> Batch:
        return widened(begun(shop, *given))

    def rendered(feed: Feed, indices: Sequence[int]) -> Batch:
        torch.set_default_dtype(torch.float32)  # the simulator's own
        try:
            return render(feed, indices)
        finally:
            torch.set_default_dtype(torch.float64)

    render = Feed.rendered
    Feed.rendered = rendered  # type: ignore[method-assign]
    task.scale_of = lambda *_: None  # only told, and of float32
    fit_stage.augment, fit_stage._draw = fitted, lambda *_: []
    workshop._layout, train.augment_step = layout, augmented
    DistillTask.build, workshop.Workshop.first = built, first  # type: ignore[method-assign]


if __name__ == "__main__":
    patch()
    main()
