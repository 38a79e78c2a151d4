"""From a batch to gradients: by this process alone, or by several, each on its part of the batch.

With several, PyTorch's ``DistributedDataParallel`` stands around the step and takes the mean of their gradients, while
they go backward. Losses see the batch of all (``kdcli.training.step.view``), so that a student is the same however many
processes train it, up to the order in which numbers are added.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from kdcli.many.group import Group
from kdcli.training.step.task import DistillTask, StepResult
from kdcli.types import Batch


class Stepping:
    """Steps of one process alone."""

    def __init__(self, task: DistillTask) -> None:
        self._task = task

    def forward(self, batch: Batch, *counters: int, last: bool, **told: bool) -> StepResult:
        """Return the loss of a batch. counters, told: as ``DistillTask.forward`` takes them; last: of an update."""
        return self._task(batch, *counters, **told)  # type: ignore[no-any-return]

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Go back from a loss; a batch without labels may have nothing to teach."""
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]

    def stopping(self, asked: bool) -> bool:
        """Return whether to stop after this step."""
        return asked

    def end(self) -> None:
        """Leave nothing that is of this process only."""


class SharedStepping(Stepping):
    """Steps of one of several processes."""

    def __init__(self, task: DistillTask, group: Group) -> None:
        """The task's parameters are known and in the mode of training: those added later would not be shared."""
        super().__init__(task)
        self._group = group
        self._step = _Step(task)
        self._anchor = next(task.trained_parameters(), None)
        # Which parameters a loss reaches may change from step to step: with weights, with labels, with plugins of their
        # own pace. Buffers are those of the first process, as its checkpoint has them.
        self._ddp = None if self._anchor is None else DistributedDataParallel(self._step, find_unused_parameters=True)

    def forward(self, batch: Batch, *counters: int, last: bool, **told: bool) -> StepResult:
        """Return the loss of all processes' batch."""
        if self._ddp is None:
            self._step(batch, *counters, **told)
        elif last:
            self._ddp(batch, *counters, **told)
        else:
            with self._ddp.no_sync():
                self._ddp(batch, *counters, **told)
        assert self._step.result is not None
        return self._step.result

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Go back; the last one of an update brings the gradients of all together, whatever it has to teach."""
        if self._ddp is None or self._anchor is None:
            super().backward(loss, last=last)
            return
        if not loss.requires_grad:
            if not last:
                return
            loss = loss + 0.0 * self._anchor.sum()
        with nullcontext() if last else self._ddp.no_sync():
            loss.backward()  # type: ignore[no-untyped-call]

    def stopping(self, asked: bool) -> bool:
        """Return whether any process was asked to stop: all stop after the same step."""
        return self._group.any(asked)

    def end(self) -> None:
        """Give all processes the first one's running statistics."""
        for tensor in self._task.buffers():
            distributed.broadcast(tensor, src=0)


def stepping(task: DistillTask, group: Group | None) -> Stepping:
    """Return the steps of a stage whose task has its parameters."""
    return Stepping(task) if group is None else SharedStepping(task, group)


class _Step(nn.Module):
    """A task as ``DistributedDataParallel`` wants it: what it returns is what one goes back from, and nothing else."""

    def __init__(self, task: DistillTask) -> None:
        super().__init__()
        self.task = task
        self.result: StepResult | None = None

    def forward(self, *given: Any, **told: Any) -> Tensor:
        self.result = self.task(*given, **told)
        assert isinstance(self.result, StepResult)
        return self.result.loss

