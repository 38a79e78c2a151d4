"""Training in small: a stage's own task and loop of updates on a few images, interrupted and resumed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.protocols import Loss, Mixer
from kdcli.testing.guards import same
from kdcli.testing.report import expect
from kdcli.training.loop import checkpoint
from kdcli.training.loop.optim import lr_scales, optimizer_of
from kdcli.training.run.checks import check_gradients, check_outputs, check_parts
from kdcli.training.step.parts import LossPart
from kdcli.training.step.task import DistillTask
from kdcli.types import Batch, DepthKind

UPDATES = 2
"""What ``after_step`` keeps of the first is there in the second."""


class Rehearsal:
    """A stage that trains a student with some losses and mixers, as training wires it, on one batch."""

    def __init__(
        self, *, name: str, losses: Sequence[Loss], mixers: list[Mixer], task: Loss | None, student: nn.Module,
        teachers: Mapping[str, nn.Module], batch: Batch,
    ) -> None:
        """name: of losses in messages. Teachers are frozen; the student is trained."""
        self._batch, self._mixers, self._task_loss = batch, mixers, task
        self._stage = StageConfig(name="main", steps=UPDATES, batch_size=len(batch), optimizer="sgd", amp="off",
                                  size=(int(batch.image.shape[-2]), int(batch.image.shape[-1])))
        self._parts = [LossPart(name=name, loss=loss) for loss in losses]
        frozen = {name: teacher.eval().requires_grad_(False) for name, teacher in teachers.items()}
        self.task = DistillTask(
            self._stage, student, frozen, self._parts, mixers, task, seed=0, device=batch.image.device,
        )
        self._student, self._teachers = student, frozen
        self._optimizer: torch.optim.Optimizer | None = None
        self.values: list[Tensor] = []

    def fits(self) -> Rehearsal:
        """Check, as a run does before anything is evaluated, that the parts fit; return it.

        Raises:
            ConfigError: they do not; the message names what is asked and of whom.
        """
        mixers = {f"mixer{i}": mixer for i, mixer in enumerate(self._mixers)}
        check_parts(self._stage, self._student, self._teachers, self._parts, self._task_loss, _Labelled(), mixers)
        return self

    def gives(self) -> None:
        """Check on one batch, as a run does before its first step, that the models give what losses need.

        Raises:
            ConfigError: they do not.
        """
        with torch.no_grad():
            self.task.build(self._batch)
            check_outputs(self.task.context(self._batch, 0, UPDATES), self.task)
        check_gradients(self.task, self._batch.image)

    def begin(self) -> None:
        """Let plugins make their modules, and make the optimiser."""
        self.task.build(self._batch)
        self._optimizer = optimizer_of(self._stage, self.task.trained_parameters(), lr_scales(self.task.plugins))
        self.task.begin_training()

    def update(self, number: int) -> None:
        """Make one update of the student and tell the plugins."""
        assert self._optimizer is not None
        self._optimizer.zero_grad(set_to_none=True)
        result = self.task(self._batch, number, UPDATES)
        expect(torch.isfinite(result.loss), f"the loss of update {number} is {result.loss.item()}")
        if result.loss.requires_grad:
            result.loss.backward()
        self._optimizer.step()
        self.task.after_step()
        self.values.append(result.loss.detach())

    def save(self, path: Path, step: int) -> None:
        """Write a checkpoint."""
        assert self._optimizer is not None
        checkpoint.save(path, variant="run", stage="main", step=step, task=self.task, optimizer=self._optimizer,
                        average=None)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint."""
        assert self._optimizer is not None
        checkpoint.restore(checkpoint.read(path), self.task, self._optimizer, None)

    def state(self) -> dict[str, Any]:
        """Return all that was learned and kept."""
        return {
            **{f"student.{name}": value for name, value in self._student.state_dict().items()},
            **dict(self.task.plugins.state_dict()), **_flat(self.task.kept_states(), "ctx.state"),
        }

    @staticmethod
    def twice(make: Callable[[], Rehearsal]) -> str:
        """Run through, and once more from the checkpoint of the first update on; expect equality to the bit."""
        whole, resumed = make(), make()
        with tempfile.TemporaryDirectory(prefix="kdcli-kit-") as folder:
            path = Path(folder, "state.pt")
            whole.begin()
            whole.update(0)
            whole.save(path, 1)
            for number in range(1, UPDATES):
                whole.update(number)
            resumed.begin()
            resumed.restore(path)
        for number in range(1, UPDATES):
            resumed.update(number)
        first, second = whole.state(), resumed.state()
        odd = [name for name in first if name not in second or not _equal(first[name], second[name])]
        kept = "an interrupted run that goes on comes to another {}: something is neither in parameters, buffers nor " \
               "ctx.state, or drawn from numbers of its own"
        expect(same(whole.values[-1], resumed.values[-1]), kept.format("loss"))
        expect(not odd and first.keys() == second.keys(), kept.format(", ".join(odd[:2]) or "state"))
        return f"{UPDATES} updates, resumed to the bit"


class _Labelled:
    """Stands for the data, which has depth."""

    name = "toys"
    depth_kind: DepthKind | None = DepthKind.METRIC

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int, /) -> Any:
        raise IndexError(index)

    def check(self) -> list[Any]:
        """Nothing to say."""
        return []


def _flat(kept: Any, name: str) -> dict[str, Any]:
    """Return nested dicts, lists and tuples as one dictionary."""
    parts = kept.items() if isinstance(kept, Mapping) else enumerate(kept) if isinstance(kept, list | tuple) else None
    if parts is None:
        return {name: kept}
    return {key: value for part, inner in parts for key, value in _flat(inner, f"{name}.{part}").items()}


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return same(a, b)
    return type(a) is type(b) and bool(a == b or (a != a and b != b))
