"""Build what a stage names: its network, teachers, losses, mixers, feed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from kdcli.choosing import Built
from kdcli.choosing.facts import farthest
from kdcli.choosing.pretrained import with_pretrained
from kdcli.config import RunConfig, StageConfig, teachers_of
from kdcli.config.references import STAGE, origin_of
from kdcli.devices import autocast_dtype
from kdcli.errors import ConfigError, PluginError
from kdcli.many.group import Group
from kdcli.networks.activations import out_of_place
from kdcli.plugins import registry
from kdcli.protocols import DepthModel, Loss, Mixer, Source
from kdcli.spec import Spec
from kdcli.students.within import within
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.geometry import centre_crop
from kdcli.training.batches.hard_order import HardOrder
from kdcli.training.batches.kept_images import KeptImages
from kdcli.training.batches.memory_maps import MEMORY, MemoryMaps
from kdcli.training.batches.order import ENDLESS, Order
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.batches.taught import Taught
from kdcli.training.batches.teacher_cache import open_cache
from kdcli.training.run.checks import check_parts
from kdcli.training.run.holdout import Holdout
from kdcli.training.run.kinds import check_kinds, kinds_of
from kdcli.training.run.loss_parts import loss_parts
from kdcli.training.run.results import RUN, StageResults, frozen_copy
from kdcli.training.run.sharing import shared, shares
from kdcli.training.run.transforming import joint_transform
from kdcli.training.seeds import seed_of, seeded
from kdcli.training.step.mixing import build_mixers
from kdcli.training.step.task import DistillTask
from kdcli.transform import load_mixer
from kdcli.types import Batch

SOON = 64
"""Batches among which one with depth is looked for, where only some images have any."""


@dataclass(kw_only=True)
class Workshop:
    """What the stages of a run and its twin share: device, seed, teachers, results and rendered images."""

    config: RunConfig
    device: torch.device
    cache: RenderCache = field(default_factory=RenderCache)
    built: Built = field(default_factory=Built)
    """Teachers and sources, each built once: those that the configuration was chosen by among them."""
    kept: KeptImages = field(default_factory=KeptImages)
    group: Group | None = None
    """The processes that train it, each on its part of every batch; None = this one alone."""
    variant: str = RUN
    """Whose stages are at work: the run's or its twin's."""
    results: StageResults = field(default_factory=StageResults)
    """Of stages that are done."""
    _teachers: dict[str, nn.Module] = field(default_factory=dict)
    _expected: dict[str | None, nn.Module] = field(default_factory=dict)
    _taught: dict[tuple[object, ...], Taught | MemoryMaps | None] = field(default_factory=dict)

    def teachers(self, stage: StageConfig) -> dict[str, nn.Module]:
        """Return the stage's teachers by name, each built once, frozen, in eval mode and on the device.

        What an earlier stage comes to is, before that is trained, its network as it begins.
        """
        return {name: self._teacher(spec) for name, spec in teachers_of(stage).items()}

    def _teacher(self, spec: str) -> nn.Module:
        if spec.startswith(STAGE):
            name = spec.removeprefix(STAGE)
            result = self.results.get(self.variant, name)
            return self._expected_of(name) if result is None else result.model
        if spec not in self._teachers:
            teacher = self.built.teacher(spec)
            self._teachers[spec] = (
                shared(teacher, spec, self.group, self.device)
                if self.group is not None and shares(self.config, self.group) else _layout(teacher.to(self.device))
            )
        return self._teachers[spec]

    def _expected_of(self, name: str) -> nn.Module:
        stage = next(stage for stage in self.config.stages if stage.name == name)
        origin = origin_of(self.config.stages, stage)
        if origin not in self._expected:
            self._expected[origin] = frozen_copy(self.network(stage)[0])
        return self._expected[origin]

    def _outside(self, stage: StageConfig, seen: set[str]) -> dict[str, nn.Module]:
        """Return those of a stage's teachers that come from outside the run; else those behind its teachers.

        What a network is like does not depend on results of the run: they may have begun as that very network.
        """
        seen.add(stage.name)
        specs = teachers_of(stage)
        found = {name: self._teacher(spec) for name, spec in specs.items() if not spec.startswith(STAGE)}
        by_name = {other.name: other for other in self.config.stages}
        for spec in () if found else specs.values():
            origin = origin_of(self.config.stages, by_name[spec.removeprefix(STAGE)])
            for other in self.config.stages:
                mine = other.train == "student" and origin_of(self.config.stages, other) == origin
                if mine and other.name not in seen:
                    found |= self._outside(other, seen)
        return found

    def source(self, spec: str) -> Source:
        """Return a source, built once."""
        return self.built.source(spec)

    @cached_property
    def holdout(self) -> Holdout | None:
        """What the run holds out of training; None where it trains on all images.

        Raises:
            ConfigError: the images of the main stage cannot be told apart.
        """
        return Holdout(self.config, self.source) if self.config.holdout else None

    def images(self, stage: StageConfig) -> Source:
        """Return what a stage trains on: its source without the images that the run holds out."""
        return self.source(stage.data) if self.holdout is None else self.holdout.training(stage)

    def taught(self, stage: StageConfig) -> Taught | MemoryMaps | None:
        """Return the stage's teacher cache, opened but not made; None where it has none. A twin shares the run's.

        Raises:
            ConfigError, DataError: it does not fit the stage.
        """
        named: tuple[str, ...] = ("teacher_cache", "teacher_flip", "teacher_storage", "teachers", "data", "size")
        if stage.teacher_cache == MEMORY:  # whether and how it is kept depends on more
            named += ("reduce", "crop", "rotate", "mixers", "transform", "steps", "epochs", "batch_size", "accumulate")
        key = tuple(str(getattr(stage, name)) for name in named)
        if key not in self._taught:
            self._taught[key] = open_cache(stage, self.images(stage), self.teachers(stage), self.device)
        return self._taught[key]

    def order(self, stage: StageConfig) -> HardOrder | None:
        """Return the order of a stage that shows far images more often, as it begins; None where it does not.

        Raises:
            ConfigError: no image of its source comes again.
        """
        if stage.sampling != "hard" or stage.train != "student":
            return None
        images = self.images(stage)
        count = len(images)
        if hasattr(images, "share"):
            raise ConfigError(
                f"sampling=hard of stage '{stage.name}' lets distances say how often an image comes, and "
                f"'{stage.data}' has a share of each source; use sampling=even"
            )
        if count >= ENDLESS:
            raise ConfigError(
                f"sampling=hard of stage '{stage.name}' shows images of '{stage.data}' again, which is endless; write "
                "count=N in its spec, or sampling=even"
            )
        seed, twin = seed_of(self.config.seed, stage.name), self.config.twin is not None
        return HardOrder(count, stage.batch_size, seed, record=twin and self.variant == RUN)

    def feed(
        self, stage: StageConfig, taught: Taught | MemoryMaps | None = None, *, exact: bool = False,
        order: Order | None = None,
    ) -> Feed:
        """Return the stage's batches; the same order for a run and its twin.

        taught: what teachers say of them. exact: images as they were decoded, whether the stage keeps them or not.
        order: of the images; None = each once an epoch.
        """
        return Feed(
            self.images(stage),
            batch_size=stage.batch_size,
            size=stage.size,
            seed=seed_of(self.config.seed, stage.name),
            device=self.device,
            workers=stage.workers,
            cache=self.cache,
            taught=taught,
            kept=self.kept if stage.keep_images and not exact else None,
            order=order,
            reduce=stage.reduce,
        )

    def first(self, stage: StageConfig, taught: Taught | MemoryMaps | None = None) -> Batch:
        """Return the stage's first batch at the size that its networks see, not augmented.

        Where only some images have depth it is the first with one of those, if it comes soon.
        """
        # Maps of a folder are kept with their images: what is decoded here without them would be kept twice.
        exact = taught is None and isinstance(self.taught(stage), Taught)
        feed = self.feed(stage, taught, exact=exact)
        first = next(feed.batches(0, 1))
        if first.labelled is not None and not bool(first.labelled.any()):
            others = feed.batches(1, max(min(feed.steps_per_epoch, SOON), 1))
            first = next((one for one in others if one.labelled is None or bool(one.labelled.any())), first)
        return centre_crop(first, stage.crop)

    def student(self) -> tuple[nn.Module, str]:
        """Build the run's student with weights that depend on the seed alone; return it with its full spec.

        Raises:
            ConfigError: the student's depth means something other than the teacher's.
        """
        return self.network(self.config.main)

    def network(self, stage: StageConfig) -> tuple[nn.Module, str]:
        """Build the network that a stage trains as its first stage finds it, and return it with its full spec.

        One that can take on the teacher's depth kind and range does so where its spec does not say otherwise.

        Raises:
            ConfigError: its depth means something other than the teacher's.
        """
        origin = origin_of(self.config.stages, stage)
        first = self.config.main if origin is None else next(s for s in self.config.stages if s.name == origin)
        place = ("student",) if origin is None else ("student", origin)
        teachers = self._outside(first, set())
        spec = self._spec(first.student, teachers)
        with seeded(seed_of(self.config.seed, *place)), self.built.encoders.building() as begun:
            student = registry.build("student", spec)
        if not isinstance(student, nn.Module) or not isinstance(student, DepthModel):
            raise PluginError(
                f"student '{spec}' is no depth model: it lacks depth_kind, depth_range or taps; report it to its author"
            )
        if getattr(student, "any_kind", False):
            student.depth_kind = next(iter(kinds_of(teachers).values()))
        check_kinds(str(spec), student, teachers)
        if begun:
            student.encoders_from = tuple(weights.origin for weights in begun)  # type: ignore[assignment]
        return _layout(out_of_place(student).to(self.device)), str(spec)

    def _spec(self, text: str | None, teachers: Mapping[str, nn.Module]) -> Spec:
        """Return the spec of a stage's student; None is the run's, which follows what the run says of its start.

        Its range of depth follows a metric teacher's where it does not say otherwise.
        """
        inner = within(self.config.student if text is None else text)
        spec, factory = inner.spec, inner.factory
        spec = with_pretrained(spec, factory, self.config) if text is None else spec
        keys = inspect.signature(factory).parameters
        teacher = next(iter(teachers.values()))
        far = farthest(teacher)
        said = {"max_depth", *getattr(factory, "range_options", ())} & spec.options.keys()
        # A checkpoint of a network whose last layer is bounded has its range built in.
        built_in = spec.location is not None and getattr(factory, "bounded", True) and hasattr(factory, "weights")
        unset = "max_depth" in keys and not said and not built_in
        if unset and far is not None:
            spec = replace(spec, options={**spec.options, "max_depth": f"{far:g}"})
        return inner.whole(spec)

    def task(self, stage: StageConfig, student: nn.Module, fitted: Path | None) -> DistillTask:
        """Wire a stage and check that its losses get what they need."""
        losses = loss_parts(stage, self.config.seed)
        with seeded(seed_of(self.config.seed, stage.name, "task")):
            task_loss: Loss | None = registry.build("loss", stage.task_loss) if stage.task_loss else None
        teachers = self.teachers(stage)
        mixers = self.mixers(stage, fitted)
        check_parts(
            stage, student, teachers, losses, task_loss, self.images(stage),
            dict(zip(stage.mixers, mixers, strict=False)),
        )
        full = any(part.loss.needs.precision == "full" for part in losses)
        taught = self.taught(stage)
        made = DistillTask(
            stage,
            student,
            teachers,
            losses,
            mixers,
            task_loss,
            seed=seed_of(self.config.seed, "step"),
            device=self.device,
            amp=None if full else self.amp(stage),
            cached=() if taught is None else tuple(taught.teachers),
            group=self.group,
        )
        return made.to(self.device)

    def mixers(self, stage: StageConfig, fitted: Path | None) -> list[Mixer]:
        """Return the stage's mixers, the transformation network last.

        One that is learned jointly is made anew, unless ``fitted`` is the file that it came to.
        """
        mixers = build_mixers(stage.mixers, seed_of(self.config.seed, stage.name))
        if stage.transform == "joint" and fitted is None:
            mixers.append(joint_transform(stage, self.teachers(stage), self.config.seed).to(self.device))
        elif stage.transform != "none":
            path = fitted if stage.transform in ("fitted", "joint") else Path(stage.transform)
            if path is None:
                raise ConfigError(f"stage '{stage.name}' wants a fitted transformation, but none was fitted")
            mixers.append(load_mixer(path, probability=stage.transform_share).to(self.device))
        return mixers

    def amp(self, stage: StageConfig) -> torch.dtype | None:
        """Return the autocast type of a stage."""
        if stage.amp == "off":
            return None
        named = {"bf16": torch.bfloat16, "fp16": torch.float16}
        return named[stage.amp] if stage.amp in named else autocast_dtype(self.device)


def _layout(model: nn.Module) -> nn.Module:
    """Put convolutions into channels-last order, which both CPUs and GPUs run faster."""
    return model.to(memory_format=torch.channels_last)
