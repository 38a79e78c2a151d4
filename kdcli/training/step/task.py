"""One step of distillation. It contains no method's name.

Mixers, contexts, inner updates, task loss, weighted terms. Backward, clipping and the update are the loop's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.config.looks import LOOKS
from kdcli.errors import ConfigError
from kdcli.many.group import Group
from kdcli.networks.norms import statistics_kept
from kdcli.networks.subsampling import subsampled
from kdcli.plugins.blame import blame
from kdcli.protocols import Loss, Mixer
from kdcli.training.seeds import reseed, seed_of, seeded
from kdcli.training.step.context import Context
from kdcli.training.step.distance import distance_of
from kdcli.training.step.engine import Engine
from kdcli.training.step.freezing import Frozen
from kdcli.training.step.inner import InnerUpdates
from kdcli.training.step.looks import Look, Models
from kdcli.training.step.mixing import mixed_by
from kdcli.training.step.parts import LossPart, hold_scale, key_of, modules_of, scalars
from kdcli.training.step.scale import level_of, scale_of
from kdcli.training.step.state import PluginState
from kdcli.training.step.view import ModelView
from kdcli.types import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one batch gave: the loss to go back from, its named parts, and which images were sound."""

    loss: Tensor
    terms: dict[str, Tensor]
    notes: dict[str, Tensor | float]
    """What plugins told beside their terms; complete once ``after_step`` was called."""
    sound: Tensor
    """B bool: image, target and prediction are all finite."""
    distance: Tensor | None = None
    """B: how far each image's depth is from the teacher's, where that was asked for."""
    scale: Tensor | None = None
    """Student's depth over the teacher's, and its spread over the batch; of steps that are told, where it is known."""


class DistillTask(nn.Module):
    """Student, teachers, losses and mixers of one stage, wired.

    Teachers, by name, are held outside the module tree: they are never trained, moved or saved with it. ``cached``
    names those whose depth comes with the batches, in the order of ``Batch.taught``.
    """

    def __init__(
        self,
        stage: StageConfig,
        student: nn.Module,
        teachers: Mapping[str, nn.Module],
        losses: Sequence[LossPart],
        mixers: list[Mixer],
        task_loss: Loss | None,
        *,
        seed: int,
        device: torch.device,
        amp: torch.dtype | None = None,
        cached: Sequence[str] = (),
        group: Group | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        self.stage, self.losses, self.mixers, self.task_loss = stage, tuple(losses), mixers, task_loss
        parts: dict[str, Any] = {part.name: part.loss for part in losses} | _numbered(mixers)
        if task_loss is not None:
            parts["task"] = task_loss
        self.plugins = modules_of(parts)
        self.states: dict[str, PluginState] = {}
        self._inner = InnerUpdates(parts)
        self._frozen = Frozen(stage, student, self.plugins)
        self._models = Models(
            stage, student, teachers, losses, task_loss, seed=seed, device=device, amp=amp, cached=cached,
            group=group,
        )
        self._seed, self._device = seed, device
        self.amp = amp
        self._teachers, self._cached = dict(teachers), frozenset(cached)  # a dict, so that they are none of its modules
        self._after = [part for part in parts.items() if hasattr(part[1], "after_step")]
        self._last: Look | None = None
        self._notes: dict[str, Tensor | float] = {}
        self._checked = False

    def forward(
        self, batch: Batch, number: int, total: int, epoch: int = 0, *, told: bool = False, distances: bool = False
    ) -> StepResult:
        """Compute the loss of one batch; B x 3 x H x W on the task's device.

        number, total: of this batch and of all batches of the stage; several may make an update. told: whether the step
        is logged, with what only logs are for. distances: whether the result tells how far each image is. Global random
        numbers (dropout) are put to a start that depends on the number alone, so that a run repeats and goes on.

        Raises:
            ConfigError: distances are asked for, and there is nothing to tell them by.
        """
        begun = self._models.begin(batch, number, total, epoch)
        reseed(self._models.generator.initial_seed() ^ 1, self._device)  # other numbers than the context's
        for name in _numbered(self.mixers):
            self._inner.step(name, self._for(begun, name))
        looks = self._mix(begun)
        last = looks[-1]
        for part in self.losses:
            self._inner.step(part.name, self._of(last, part))
        terms: dict[str, Tensor] = {}
        total_loss = torch.zeros((), device=self._device)
        for look in looks:
            for name, weight, value in self._terms(look):
                terms[look.prefix + name] = value
                total_loss = total_loss + look.share * weight * value
        for name, mixer in _numbered(self.mixers).items():
            if hasattr(mixer, "terms"):
                with blame(mixer, "terms"):
                    added = scalars(mixer.terms(self._for(last.context, name)))
                for term, value in added.items():
                    terms[f"transform.{term}"] = value
                    total_loss = total_loss + value
        sound = torch.stack([look.sound() for look in looks]).all(dim=0)
        self._notes = dict(begun.notes)
        for look in looks:
            self._notes |= look.notes()
        self._checked = True
        self._last = last if self._after else None
        detached = {key: value.detach() for key, value in terms.items()}
        scale = scale_of(last.context) if told else None
        apart = self._distance(looks) if distances else None
        return StepResult(
            loss=total_loss, terms=detached, notes=self._notes, sound=sound, distance=apart, scale=scale
        )

    @torch.no_grad()
    def after_step(self) -> None:
        """Tell the plugins that ask for it that an update is done, with the context of its last batch.

        What they note joins the notes of that batch's result.
        """
        if self._last is None:
            return
        last, known = self._last, {part.name: part for part in self.losses}
        last.context.student.learns = False
        for name, part in self._after:
            with blame(part, "after_step"):
                part.after_step(self._of(last, known[name]) if name in known else self._for(last.context, name))
        self._notes |= last.notes()
        self._last = None

    def context(self, batch: Batch, number: int, total: int, epoch: int = 0) -> Context:
        """Mix a batch and wrap it with lazy views of all models; the last of several looks."""
        return self._mix(self._models.begin(batch, number, total, epoch))[-1].context

    def contexts(self, context: Context) -> Iterator[tuple[LossPart, Context]]:
        """Yield each loss with what it sees of a context."""
        for part in self.losses:
            yield part, self._of(Look("", 1.0, context), part)

    def build(self, batch: Batch) -> None:
        """Let plugins create their own modules from one probe batch, and give inner parameters their optimisers.

        Each is asked under a seed of the run that depends on its name: neither on its neighbours nor on what was
        drawn before. The student is in the mode of training whatever it did before, and its running statistics stay.
        """
        self.train()
        with torch.no_grad(), statistics_kept(self.student):
            with seeded(seed_of(self._seed, self.stage.name, "build")):
                self._models.count(batch)
                look = self._mix(self._models.begin(batch, 0, 1, 0))[-1]
            for part in self.losses:
                if hasattr(part.loss, "build"):
                    seed = seed_of(self._seed, self.stage.name, "build", part.name)
                    with seeded(seed), blame(part.loss, "build"):
                        part.loss.build(self._of(look, part))
        self.plugins.to(self._device)
        subsampled(self)
        self._inner.begin()
        self._frozen.find()

    def taught_by(self, engines: Mapping[str, Engine]) -> None:
        """Let teachers run in another form from here on, by name; a loss that looks into one still has the teacher."""
        self._models.engines = dict(engines)

    def student_runs_as(self, engine: Engine | None) -> None:
        """Let the student's depth for a batch come from another form of it from here on; None: from itself."""
        self._models.student_engine = engine

    @property
    def holds_scale(self) -> bool:
        """Whether any loss that counts changes when the student's depth is multiplied by a factor."""
        return hold_scale(self.losses, self.task_loss)

    def level(self, batch: Batch) -> float | None:
        """Return the median of the depth that the teachers say of images as they came; None where no loss sees it."""
        if not self.holds_scale:
            return None
        with torch.no_grad(), seeded(seed_of(self._seed, self.stage.name, "level")), statistics_kept(self.student):
            return level_of(self._models.begin(batch, 0, 1, 0))

    def begin_training(self) -> None:
        """Put everything into the mode of training, and what the stage freezes out of it."""
        self.train()
        self._frozen.apply()

    def end_training(self) -> None:
        """Let what was frozen learn again."""
        self._frozen.release()

    def asking(self) -> list[str]:
        """Return the losses that declare that they look into a teacher, so that no cache spares its evaluation."""
        return [
            part.name for part in self.losses
            if (needs := part.loss.needs).teacher_taps or needs.teacher_outputs or needs.batch_norm
            or needs.input_gradient != "none"
        ]

    def is_cached(self, teacher: str) -> bool:
        """Return whether a teacher's depth comes with the batches."""
        return teacher in self._cached

    @property
    def shows_teachers(self) -> bool:
        """Whether a step shows its images to a teacher: one without a cache, or that a loss looks into."""
        live = (model for name, model in self._teachers.items() if name not in self._cached)
        return any(not hasattr(model, "from_batch") for model in live) or bool(self.asking())

    @property
    def learns_inside(self) -> bool:
        """Whether a plugin has inner parameters."""
        return next(self._inner.parameters(), None) is not None

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """The student's and the plugins' parameters that the main optimiser moves."""
        inner = {id(parameter) for parameter in self._inner.parameters()}
        for parameter in self.parameters():
            if parameter.requires_grad and id(parameter) not in inner and not self._frozen.holds(parameter):
                yield parameter

    def inner_state(self) -> dict[str, Any]:
        """State of the inner optimisers, for the checkpoint."""
        return self._inner.state()

    def load_inner_state(self, state: Mapping[str, Any]) -> None:
        """Restore the inner optimisers."""
        self._inner.load(state)

    def kept_states(self) -> dict[str, dict[str, Any]]:
        """Return what plugins keep in ``ctx.state``, for the checkpoint.

        Raises:
            PluginError: something that a checkpoint could not give back.
        """
        return {name: state.document() for name, state in self.states.items()}

    def states_of(self, name: str) -> tuple[str, ...]:
        """Return the names of the stores of a loss: one for each look that the stage may take at the images."""
        return (name, *(f"{look}.{name}" for look in LOOKS))

    def load_states(self, kept: Mapping[str, Mapping[str, Any]]) -> None:
        """Restore what plugins kept."""
        for name, values in kept.items():
            self._state(name).restore(values, self._device)

    def module_of(self, name: str) -> nn.Module | None:
        """Return the modules of a part by its name, if it has any."""
        key = key_of(name)
        return self.plugins[key] if key in self.plugins else None  # noqa: SIM401  (a ModuleDict has no get)

    def _mix(self, begun: Context) -> list[Look]:
        """Apply the mixers and return the looks that count: at the final images, or at those that the stage names."""
        own = len(self.stage.mixers)  # behind them comes the transformation network, if there is one
        mixed = final = begun.batch
        for number, mixer in enumerate(self.mixers):
            final = self._mixed_by(number, mixer, final, begun)
            mixed = final if number < own else mixed
        images = {"plain": begun.batch, "mixed": mixed, "transformed": final}
        shares = dict(self.stage.looks)
        chosen = [(f"{name}.", shares[name], at) for name, at in images.items() if shares.get(name)]
        counters: dict[str, Any] = {
            "number": begun.batch_number, "epoch": begun.epoch, "progress": begun.progress,
        }
        return [
            Look(prefix, share, self._models.on(batch, **counters))
            for prefix, share, batch in chosen or [("", 1.0, final)]
        ]

    def _mixed_by(self, number: int, mixer: Mixer, batch: Batch, begun: Context) -> Batch:
        with blame(mixer, "mix"):
            return mixed_by(mixer, batch, self._for(begun, f"mixer{number}"))

    def _distance(self, looks: Sequence[Look]) -> Tensor:
        """Return how far each image is on the first look at it that tells."""
        for look in looks:
            found = distance_of(look.context, truth=self.task_loss is not None)
            if found is not None:
                return found
        raise ConfigError(
            f"sampling=hard of stage '{self.stage.name}' goes by how far the student's depth is from the teacher's, "
            "and no loss asks both for depth; use sampling=even"
        )

    def _state(self, name: str) -> PluginState:
        if name not in self.states:
            self.states[name] = PluginState(f"'{name}' of stage '{self.stage.name}'")
        return self.states[name]

    def _for(self, context: Context, name: str, teachers: Mapping[str, ModelView] | None = None) -> Context:
        return context.seen_by(name, self._state(name), teachers)

    def _of(self, look: Look, part: LossPart) -> Context:
        """Return a look as one loss sees it: with its own store and its own teachers."""
        teachers = look.context.teachers
        own = {name: teachers[name] for name in part.teachers} if part.teachers else None
        return look.context.seen_by(part.name, self._state(look.prefix + part.name), own)

    def _terms(self, look: Look) -> Iterator[tuple[str, float, Tensor]]:
        """Yield name, weight and value of the terms on one look at the images, the task loss first."""
        if self.task_loss is not None and look.context.batch.depth is not None:
            yield "task", self.stage.task_weight, self._task(look)
        for part in self.losses:
            with blame(part.loss, "terms"):
                found = scalars(part.loss.terms(self._of(look, part)))
            if not self._checked:
                part.check_terms(found)
            for term, value in found.items():
                yield part.logged(term), part.weight_of(term), value

    def _task(self, look: Look) -> Tensor:
        error_map, counted = look.context.task_map(look.context.student.out)
        weight = counted.to(error_map.dtype)
        for part in self.losses:
            if hasattr(part.loss, "pixel_weight"):
                with blame(part.loss, "pixel_weight"):
                    factor = part.loss.pixel_weight(self._of(look, part))
                if factor is not None:
                    weight = weight * factor.detach()
        return (error_map * weight).sum() / (weight > 0).sum().clamp(min=1)


def _numbered(mixers: list[Mixer]) -> dict[str, Mixer]:
    return {f"mixer{i}": mixer for i, mixer in enumerate(mixers)}
