"""A step context without a trainer: the same promises, on toy models, for the tests of losses and mixers."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.networks.taps import TapReader
from kdcli.testing.toys import ToyDepth, toy_batch
from kdcli.types import Batch, DepthKind, Prediction


class FakeView:
    """One model on one batch, evaluated when first touched; counts its evaluations in ``passes``."""

    def __init__(self, model: nn.Module, batch: Batch, *, gradient: bool) -> None:
        self.model, self._batch, self._gradient = model, batch, gradient
        self.passes = 0
        self._out: Prediction | None = None
        self._features: dict[str, Tensor] = {}

    @property
    def out(self) -> Prediction:
        """The prediction for the batch."""
        if self._out is None:
            self._out = self._run(())
        return self._out

    def feat(self, tap: str) -> Tensor:
        """The inner feature at a tap, with the graph of the student, without that of a teacher."""
        if tap not in self._features:
            self._out = self._run((*self._features, tap))
        return self._features[tap]

    def call(self, image: Tensor, *, gradient: bool = True) -> Prediction:
        """Run the model on other images."""
        self.passes += 1
        with torch.set_grad_enabled(gradient and torch.is_grad_enabled()):
            return self.model(image)  # type: ignore[no-any-return]

    def subset(self, index: Tensor) -> FakeView:
        """A view on some of the images only."""
        return FakeView(self.model, self._batch.select(index), gradient=self._gradient)

    def _run(self, taps: Sequence[str]) -> Prediction:
        self.passes += 1
        model: Any = self.model
        with (
            torch.set_grad_enabled(self._gradient and torch.is_grad_enabled()),
            TapReader(self.model, taps) as reader,
        ):
            whole = hasattr(model, "from_batch")
            prediction: Prediction = model.from_batch(self._batch) if whole else model(self._batch.image)
        self._features = dict(reader.features)
        return prediction


class FakeContext:
    """All that ``kdcli.protocols.StepContext`` promises. Made by ``fake_context``."""

    def __init__(self, *, batch: Batch, student: nn.Module, teachers: Mapping[str, nn.Module], seed: int = 0,
                 step: int = 3, epoch: int = 0, stage: str = "main", progress: float = 0.25) -> None:
        self.step, self.epoch, self.stage, self.progress = step, epoch, stage, progress
        self.batch = batch
        self.generator = torch.Generator(device=batch.image.device).manual_seed(seed)
        self.student = FakeView(student, batch, gradient=True)
        self.teachers = {name: FakeView(model, batch, gradient=False) for name, model in teachers.items()}
        self.state: MutableMapping[str, Any] = {}

    @property
    def teacher(self) -> FakeView:
        """The only teacher.

        Raises:
            ConfigError: there are several.
        """
        if len(self.teachers) != 1:
            raise ConfigError(f"there are {len(self.teachers)} teachers ({', '.join(self.teachers)}); use ctx.teachers")
        return next(iter(self.teachers.values()))

    def target(self, teacher: FakeView | None = None) -> tuple[Tensor, Tensor]:
        """A teacher's depth (the only one's) at the student's resolution and where it is valid; B x 1 x h x w each."""
        prediction = (self.teacher if teacher is None else teacher).out
        size = self.student.out.depth.shape[-2:]
        depth, valid = prediction.depth, prediction.valid
        if depth.shape[-2:] != size:
            mode = "bilinear" if valid is None else "nearest-exact"
            depth = functional.interpolate(depth, size=size, mode=mode)
            if valid is not None:
                valid = functional.interpolate(valid.to(depth.dtype), size=size, mode="nearest-exact") > 0.5
        good = torch.isfinite(depth) if prediction.kind.is_disparity else torch.isfinite(depth) & (depth > 0)
        return depth, good if valid is None else good & valid

    def task_map(self, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """The absolute difference to the batch's depth per pixel, and where it counts; B x 1 x h x w each.

        Raises:
            ConfigError: the batch has no depth.
        """
        if self.batch.depth is None:
            raise ConfigError("the batch has no depth; a loss that uses task_map declares needs.ground_truth")
        size = prediction.depth.shape[-2:]
        truth = functional.interpolate(self.batch.depth, size=size, mode="nearest-exact")
        valid = torch.ones_like(self.batch.depth) if self.batch.valid is None else self.batch.valid.to(truth.dtype)
        return (prediction.depth - truth).abs(), functional.interpolate(valid, size=size, mode="nearest-exact") > 0.5


def fake_context(
    *, batch: Batch | None = None, student: nn.Module | None = None,
    teachers: nn.Module | Mapping[str, nn.Module] | int = 1, taps: Sequence[str] = (),
    kind: DepthKind = DepthKind.METRIC, dtype: torch.dtype = torch.float32, **counters: Any,
) -> FakeContext:
    """Return a context on toy models; whatever is not given is made.

    teachers: one model, models by name, or how many toys to make. taps: names that the toys have to know. counters:
    ``seed``, ``step``, ``epoch``, ``stage``, ``progress``.
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
    return FakeContext(batch=batch, student=student, teachers=frozen, **counters)
