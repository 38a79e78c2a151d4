"""``kdcli`` with networks and images in float64: what differs then is no rounding."""

from __future__ import annotations

from typing import Any

from torch import nn

from kdcli.__main__ import main
from kdcli.training.loop import train
from kdcli.training.run import workshop
from kdcli.training.step.task import DistillTask
from kdcli.types import Batch


def widened(batch: Batch) -> Batch:
    """Return a batch of float64."""
    return batch.map_tensors(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def patch() -> None:
    """Let everything that trains be of float64."""
    lay_out, augment, build = workshop._layout, train.augment_step, DistillTask.build

    def layout(model: nn.Module) -> nn.Module:
        return lay_out(model).double()

    def augmented(batch: Batch, *given: Any, **more: Any) -> Batch:
        return widened(augment(batch, *given, **more))

    def built(task: DistillTask, batch: Batch) -> None:
        for mixer in task.mixers:
            if isinstance(mixer, nn.Module):
                mixer.double()
        build(task, widened(batch))
        task.plugins.double()

    def first(shop: workshop.Workshop, *given: Any) -> Batch:
        return widened(begun(shop, *given))

    begun = workshop.Workshop.first
    workshop._layout, train.augment_step = layout, augmented
    DistillTask.build, workshop.Workshop.first = built, first  # type: ignore[method-assign]


if __name__ == "__main__":
    patch()
    main()
