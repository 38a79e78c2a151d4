"""A step context without a trainer: training's own, on toy models, for the tests of losses and mixers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.losses.pointwise import L1
from kdcli.protocols import Loss
from kdcli.testing.toys import ToyDepth, toy_batch
from kdcli.training.step.context import Context
from kdcli.training.step.state import PluginState
from kdcli.training.step.view import ModelView
from kdcli.types import Batch, DepthKind, Prediction


class FakeView(ModelView):
    """A view as in training, which counts the evaluations of its model in ``passes``."""

    def __init__(self, model: nn.Module, batch: Batch, *, gradient: bool) -> None:
        super().__init__(model, batch, gradient=gradient)
        self.passes = 0

    def call(self, image: Tensor, **options: Any) -> Any:
        """Run the model on other images."""
        self.passes += 1
        return super().call(image, **options)

    def subset(self, index: Tensor) -> FakeView:
        """A view on some of the images only."""
        return FakeView(self.model, self.batch.select(index), gradient=self._gradient)

    def _evaluate(self, taps: Sequence[str]) -> Prediction:
        self.passes += 1
        return super()._evaluate(taps)


class FakeContext(Context):
    """All that ``kdcli.protocols.StepContext`` promises, as training keeps it. Made by ``fake_context``."""

    student: FakeView
    teachers: Mapping[str, FakeView]

    def __init__(
        self, *, batch: Batch, student: nn.Module, teachers: Mapping[str, nn.Module], task: Loss | None = None,
        seed: int = 0, step: int = 3, epoch: int = 0, stage: str = "main", progress: float = 0.25,
    ) -> None:
        super().__init__(
            step=step, batch_number=step, epoch=epoch, stage=stage, progress=progress, batch=batch,
            generator=torch.Generator(device=batch.image.device).manual_seed(seed), task=task or L1(),
            student=FakeView(student, batch, gradient=True),
            teachers={name: FakeView(model, batch, gradient=False) for name, model in teachers.items()},
        )
        self.state = PluginState("the plugin")
        self._prefix = "plugin"


def fake_context(
    *, batch: Batch | None = None, student: nn.Module | None = None,
    teachers: nn.Module | Mapping[str, nn.Module] | int = 1, taps: Sequence[str] = (),
    kind: DepthKind = DepthKind.METRIC, dtype: torch.dtype = torch.float32, task: Loss | None = None, **counters: Any,
) -> FakeContext:
    """Return a context on toy models; whatever is not given is made.

    student: your own where the loss asks for more than a toy has. task: the task loss, by default the absolute
    difference. teachers: one model, models by name, or how many toys to make. taps: names that the toys have to know.
    counters: ``seed``, ``step``, ``epoch``, ``stage``, ``progress``.
    """
    batch = toy_batch(dtype=dtype) if batch is None else batch
    device = batch.image.device
    if student is None:
        student = ToyDepth(kind=kind, seed=1, taps=taps).to(device, dtype).eval()
    if isinstance(teachers, int):
        names = ["teacher"] if teachers == 1 else [f"teacher{i}" for i in range(teachers)]
        toys = {name: ToyDepth(kind=kind, seed=2 + i, taps=taps) for i, name in enumerate(names)}
        models: Mapping[str, nn.Module] = {name: toy.to(device, dtype) for name, toy in toys.items()}
    else:
        models = {"teacher": teachers} if isinstance(teachers, nn.Module) else teachers
    frozen = {name: model.eval().requires_grad_(False) for name, model in models.items()}
    return FakeContext(batch=batch, student=student, teachers=frozen, task=task, **counters)
