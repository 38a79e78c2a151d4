"""The one object that losses and mixers are given in a step; see ``kdcli.protocols.StepContext``."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kdcli.cache.resize import resize_known
from kdcli.errors import ConfigError
from kdcli.maps import at_size, nearest
from kdcli.networks.read_out import own_map, read_out_of
from kdcli.plugins.blame import blame
from kdcli.protocols import Loss, View
from kdcli.training.step.view import ModelView
from kdcli.types import Batch, DepthKind, Prediction


class Context:
    """Counters, generator, batch, and lazy views of the student and of each teacher.

    ``seen_by`` gives each plugin its own: its teachers, its state, its notes. What was evaluated is shared.
    """

    def __init__(
        self,
        *,
        step: int,
        batch_number: int,
        epoch: int,
        stage: str,
        progress: float,
        generator: torch.Generator,
        batch: Batch,
        student: ModelView,
        teachers: Mapping[str, ModelView],
        task: Loss | None = None,
    ) -> None:
        self.step, self.batch_number, self.epoch = step, batch_number, epoch
        self.stage, self.progress = stage, progress
        self.generator, self.batch = generator, batch
        self.student, self.teachers = student, teachers
        self.state: MutableMapping[str, Any] = {}
        self.notes: dict[str, Tensor | float] = {}
        """What plugins told of themselves, by ``plugin.name``; tensors are single numbers on the batch's device."""
        self._task, self._prefix = task, ""
        # By the views themselves, which keeps them: the id of one that was let go would be given to the next.
        self._targets: dict[View, tuple[Tensor, Tensor]] = {}
        self._truths: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def seen_by(
        self, name: str, state: MutableMapping[str, Any], teachers: Mapping[str, ModelView] | None = None
    ) -> Context:
        """Return the context of one plugin: the same views, with its own state, notes and, if given, teachers."""
        own = copy.copy(self)
        own.state, own._prefix = state, name
        if teachers is not None:
            own.teachers = teachers
        return own

    @property
    def teacher(self) -> ModelView:
        """The only teacher.

        Raises:
            ConfigError: there are several.
        """
        if len(self.teachers) != 1:
            raise ConfigError(
                f"this loss needs one teacher, but there are {len(self.teachers)}: {', '.join(self.teachers)}; "
                "name one with its key teacher=NAME"
            )
        return next(iter(self.teachers.values()))

    def note(self, name: str, value: Tensor | float) -> None:
        """Log a single number beside the terms; it is not summed. A tensor is read when the step is logged."""
        if isinstance(value, Tensor):
            if value.numel() == 1:
                self.notes[f"{self._prefix}.{name}"] = value.detach()
        else:
            self.notes[f"{self._prefix}.{name}"] = float(value)

    def target(self, teacher: View | None = None) -> tuple[Tensor, Tensor]:
        """A teacher's depth at the student's resolution and where it is valid; B x 1 x h x w float32 and bool.

        For the cameras of the view's images and within the clip that the teacher's ``read_out`` declares; averaging
        with the mirrored image is left to evaluation. The only teacher is meant where none is given; of a view on a
        subset, B is the number of its images. One with a cache is not asked: its depth is what was kept of the image,
        moved along with it.
        """
        view: View = self.teacher if teacher is None else teacher
        known = self._targets.get(view)
        if known is None:
            size = self._size()
            taught = getattr(view, "taught", None)
            if taught is not None:
                depth = resize_known(taught.float(), size)
                positive = view.model.depth_kind in (DepthKind.METRIC, DepthKind.SCALE_INVARIANT)
                known = (depth, depth > 0 if positive else depth != 0)
            else:
                said, cameras = view.out, view.batch.intrinsics
                depth = own_map(said, read_out_of(view.model), None if cameras is None else cameras[:, 0])
                known = at_size(replace(said, depth=depth), size)
            self._targets[view] = known
        return known

    def truth(self) -> tuple[Tensor, Tensor]:
        """The data's own depth in metres at the student's resolution and where it is known; B x 1 x h x w each.

        Nothing is known of images without labels, or of a batch without any; that is no error.
        """
        size = self._size()
        if size not in self._truths:
            self._truths[size] = self._truth(size)
        return self._truths[size]

    def task_map(self, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """The task loss against the data's depth per pixel, and where it counts; nowhere in a batch without labels.

        Raises:
            ConfigError: the stage has no task loss; ``needs.task_map`` says so before the first step.
        """
        if self._task is None:
            raise ConfigError(f"stage '{self.stage}' has no task loss; set task_loss, or take this loss out")
        size = (int(prediction.depth.shape[-2]), int(prediction.depth.shape[-1]))
        target, counted = self._truth(size)
        with blame(self._task, "map"):
            error_map: Tensor = self._task.map(prediction.depth.float(), target, counted)  # type: ignore[attr-defined]
        return error_map, counted

    def _size(self) -> tuple[int, int]:
        shape = self.student.out.depth.shape
        return int(shape[-2]), int(shape[-1])

    def _truth(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        batch = self.batch
        if batch.depth is None:
            blank = torch.zeros(len(batch), 1, *size, device=batch.image.device)
            return blank, torch.zeros_like(blank, dtype=torch.bool)
        depth = nearest(batch.depth.float(), size)
        valid = torch.isfinite(depth) & (depth > 0)
        if batch.valid is not None:
            valid = valid & nearest(batch.valid, size)
        if batch.labelled is not None:
            valid = valid & batch.labelled.view(-1, 1, 1, 1)
        return depth, valid
