"""The one object that losses and mixers are given in a step; see ``kdcli.protocols.StepContext``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdcli.cache.resize import resize_known
from kdcli.errors import ConfigError
from kdcli.networks.read_out import own_map, read_out_of
from kdcli.networks.taps import TapReader
from kdcli.plugins.blame import blame
from kdcli.protocols import Loss, View
from kdcli.types import Batch, DepthKind, Prediction


class ModelView:
    """One model on one batch, evaluated when first touched.

    A teacher's view runs without gradient and never trains it. ``taps`` are read along in the same pass. ``taught`` is
    its depth from a cache, B x 1 x H x W with 0 where unknown; ``out`` and ``feat`` evaluate the model all the same.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        gradient: bool,
        taps: Sequence[str] = (),
        amp: torch.dtype | None = None,
        taught: Tensor | None = None,
    ) -> None:
        self.model, self.taught = model, taught
        self._batch, self._gradient, self._taps, self._amp = batch, gradient, tuple(taps), amp
        self._out: Prediction | None = None
        self._features: dict[str, Tensor] = {}

    @property
    def out(self) -> Prediction:
        """The prediction for the batch."""
        if self._out is None:
            self._out = self._evaluate(self._taps)
        return self._out

    def feat(self, tap: str) -> Tensor:
        """The inner feature at a tap; one that no loss announced costs another pass."""
        if self._out is None and tap not in self._taps:
            self._taps = (*self._taps, tap)
        _ = self.out
        if tap not in self._features:
            self._out = self._evaluate((*self._taps, tap))
        return self._features[tap]

    def call(self, image: Tensor, *, gradient: bool = True) -> Prediction:
        """Run the model on other images."""
        with (
            blame(self.model, "forward"),
            torch.set_grad_enabled(gradient and torch.is_grad_enabled()),
            self._autocast(),
        ):
            return _prediction(self.model(image))

    def subset(self, index: Tensor) -> ModelView:
        """A view on some of the images only."""
        return ModelView(
            self.model, self._batch.select(index), gradient=self._gradient, taps=self._taps, amp=self._amp,
            taught=None if self.taught is None else self.taught[index],
        )

    def _evaluate(self, taps: Sequence[str]) -> Prediction:
        with (
            blame(self.model, "forward"),
            torch.set_grad_enabled(self._gradient and torch.is_grad_enabled()),
            self._autocast(),
        ):
            from_batch = getattr(self.model, "from_batch", None)
            if from_batch is not None:
                return _prediction(from_batch(self._batch))
            if not taps:
                return _prediction(self.model(self._batch.image))
            with TapReader(self.model, taps) as reader:
                prediction = _prediction(self.model(self._batch.image))
            self._features.update(reader.features)
        return prediction

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        if self._amp is None:
            yield
        else:
            with torch.autocast(self._batch.image.device.type, dtype=self._amp):
                yield


class Context:
    """Counters, generator, batch, and lazy views of the student and of each teacher."""

    def __init__(
        self,
        *,
        step: int,
        epoch: int,
        stage: str,
        progress: float,
        generator: torch.Generator,
        batch: Batch,
        student: ModelView,
        teachers: Mapping[str, ModelView],
        task: Loss | None = None,
    ) -> None:
        self.step, self.epoch, self.stage, self.progress = step, epoch, stage, progress
        self.generator, self.batch = generator, batch
        self.student, self.teachers = student, teachers
        self.state: MutableMapping[str, Any] = {}
        self._task = task
        self._targets: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def teacher(self) -> ModelView:
        """The only teacher.

        Raises:
            ConfigError: there are several.
        """
        if len(self.teachers) != 1:
            raise ConfigError(
                f"this loss needs one teacher, but there are {len(self.teachers)}: {', '.join(self.teachers)}"
            )
        return next(iter(self.teachers.values()))

    def target(self, teacher: View | None = None) -> tuple[Tensor, Tensor]:
        """A teacher's depth at the student's resolution and where it is valid; B x 1 x h x w float32 and bool.

        For the camera of the batch and within the clip that the teacher's ``read_out`` declares; averaging with the
        mirrored image is left to evaluation. The only teacher is meant where none is given. One with a cache is not
        asked: its depth is what was kept of the image, moved along with it.
        """
        view = self.teacher if teacher is None else teacher
        known = self._targets.get(id(view))
        if known is None:
            size = (int(self.student.out.depth.shape[-2]), int(self.student.out.depth.shape[-1]))
            taught = getattr(view, "taught", None)
            if taught is not None:
                depth = resize_known(taught.float(), size)
                positive = view.model.depth_kind in (DepthKind.METRIC, DepthKind.SCALE_INVARIANT)
                known = (depth, depth > 0 if positive else depth != 0)
            else:
                said, cameras = view.out, self.batch.intrinsics
                depth = own_map(said, read_out_of(view.model), None if cameras is None else cameras[:, 0])
                known = at_size(replace(said, depth=depth), size)
            self._targets[id(view)] = known
        return known

    def task_map(self, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """The task loss against ground truth per pixel, and where it counts.

        Raises:
            ConfigError: the recipe has no task loss, or the batch has no depth.
        """
        if self._task is None or self.batch.depth is None:
            raise ConfigError(
                f"stage '{self.stage}' has no task loss or its data no depth; set task_loss and use a source with depth"
            )
        valid = torch.ones_like(self.batch.depth, dtype=torch.bool) if self.batch.valid is None else self.batch.valid
        if self.batch.labelled is not None:
            valid = valid & self.batch.labelled.view(-1, 1, 1, 1)
        truth = Prediction(depth=self.batch.depth, kind=prediction.kind, valid=valid)
        size = prediction.depth.shape[-2:]
        target, counted = at_size(truth, (int(size[0]), int(size[1])))
        with blame(self._task, "map"):
            error_map: Tensor = self._task.map(prediction.depth.float(), target, counted)  # type: ignore[attr-defined]
        return error_map, counted


def _prediction(said: Any) -> Prediction:
    """Return what a model gave, seen to be what the contract says."""
    if not isinstance(said, Prediction):
        raise TypeError(f"it gave {type(said).__name__}, not a Prediction")
    return said


def at_size(prediction: Prediction, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Bring a prediction to h x w in its own output space, with where it is valid.

    A map with holes is resized by nearest neighbour, so that a hole never bleeds into what was measured.
    """
    depth, valid = prediction.depth.float(), prediction.valid
    if tuple(depth.shape[-2:]) != size:
        if valid is None:
            depth = F.interpolate(depth, size=size, mode="bilinear", align_corners=False, antialias=True)
        else:
            depth = F.interpolate(depth, size=size, mode="nearest-exact")
            valid = F.interpolate(valid.to(depth.dtype), size=size, mode="nearest-exact") > 0.5
    good = torch.isfinite(depth)
    if not prediction.kind.is_disparity:
        good = good & (depth > 0)
    return depth, good if valid is None else good & valid
