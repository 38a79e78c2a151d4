"""Build what a stage names: student, teachers, losses, mixers, feed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.config import RunConfig, StageConfig, check_views
from kdcli.devices import autocast_dtype
from kdcli.errors import ConfigError, DataError, PluginError
from kdcli.evals import check as check_evaluation
from kdcli.models import load_teacher
from kdcli.plugins import registry
from kdcli.protocols import DepthModel, Loss, Mixer, Source
from kdcli.sources import load_source
from kdcli.spec import Spec, parse
from kdcli.training.batches.feed import Feed, RenderCache
from kdcli.training.batches.geometry import centre_crop
from kdcli.training.batches.taught import Taught
from kdcli.training.batches.teacher_cache import cacheable, open_cache
from kdcli.training.run.checks import check_outputs, check_parts
from kdcli.training.seeds import seed_of, seeded
from kdcli.training.step.mixing import build_mixers
from kdcli.training.step.task import DistillTask
from kdcli.transform import JointTransform, TransformNetwork, load_mixer, probe_for, statistics_for
from kdcli.types import Batch, DepthKind

UNBOUNDED = 1000.0
"""Metres from which a teacher's range counts as no range at all."""


@dataclass(kw_only=True)
class Workshop:
    """What the stages of a run and its twin share: device, seed, teachers and rendered images."""

    config: RunConfig
    device: torch.device
    cache: RenderCache = field(default_factory=RenderCache)
    _teachers: dict[str, nn.Module] = field(default_factory=dict)
    _sources: dict[str, Source] = field(default_factory=dict)
    _taught: dict[tuple[object, ...], Taught | None] = field(default_factory=dict)

    def teachers(self, stage: StageConfig) -> dict[str, nn.Module]:
        """Return the stage's teachers by spec, each built once, frozen, in eval mode and on the device."""
        for spec in stage.teachers:
            if spec not in self._teachers:
                self._teachers[spec] = _layout(load_teacher(spec).to(self.device))
        return {spec: self._teachers[spec] for spec in stage.teachers}

    def source(self, spec: str) -> Source:
        """Return a source, built once."""
        if spec not in self._sources:
            self._sources[spec] = load_source(spec)
        return self._sources[spec]

    def taught(self, stage: StageConfig) -> Taught | None:
        """Return the stage's teacher cache, opened but not made; None where it has none. A twin shares the run's.

        Raises:
            ConfigError, DataError: it does not fit the stage.
        """
        named = ("teacher_cache", "teacher_flip", "teacher_storage", "teachers", "data", "size")
        key = tuple(str(getattr(stage, name)) for name in named)
        if key not in self._taught:
            self._taught[key] = open_cache(stage, self.source(stage.data), self.teachers(stage), self.device)
        return self._taught[key]

    def feed(self, stage: StageConfig, taught: Taught | None = None) -> Feed:
        """Return the stage's batches; the same order for a run and its twin. taught: what teachers say of them."""
        return Feed(
            self.source(stage.data),
            batch_size=stage.batch_size,
            size=stage.size,
            seed=seed_of(self.config.seed, stage.name),
            device=self.device,
            workers=stage.workers,
            cache=self.cache,
            taught=taught,
        )

    def first(self, stage: StageConfig) -> Batch:
        """Return the stage's first batch at the size that its networks see, not augmented."""
        return centre_crop(next(self.feed(stage).batches(0, 1)), stage.crop)

    def student(self) -> tuple[nn.Module, str]:
        """Build the student with weights that depend on the seed alone; return it with its full spec.

        A student that can take on the teacher's depth kind and range does so where its spec does not say otherwise.

        Raises:
            ConfigError: the student's depth means something other than the teacher's.
        """
        spec = self.student_spec()
        with seeded(seed_of(self.config.seed, "student")):
            student = registry.build("student", spec)
        if not isinstance(student, nn.Module) or not isinstance(student, DepthModel):
            raise PluginError(
                f"student '{spec}' is no depth model: it lacks depth_kind, depth_range or taps; report it to its author"
            )
        teachers = self.teachers(self.config.main)
        kinds = {name: kind_of(teacher) for name, teacher in teachers.items()}
        if len(set(kinds.values())) > 1:
            told = ", ".join(f"'{name}' gives {kind}" for name, kind in kinds.items())
            raise ConfigError(f"teachers of several depth kinds cannot teach one student: {told}; use one kind")
        if getattr(student, "any_kind", False):
            student.depth_kind = kind_of(next(iter(teachers.values())))
        for name, teacher in teachers.items():
            if kind_of(teacher) != kind_of(student):
                raise ConfigError(
                    f"student '{spec}' gives {student.depth_kind}, teacher '{name}' {teacher.depth_kind}; "
                    "choose a student of that kind"
                )
        return _layout(student.to(self.device)), str(spec)

    def student_spec(self) -> Spec:
        """Return the student's spec; its range of depth follows a metric teacher's where it does not say otherwise."""
        plugin, spec = registry.resolve("student", parse(self.config.student))
        factory = registry.load(plugin)
        keys = inspect.signature(factory).parameters
        teacher = next(iter(self.teachers(self.config.main).values()))
        farthest = float(teacher.depth_range[1])  # type: ignore[index]
        said = {"max_depth", *getattr(factory, "range_options", ())} & spec.options.keys()
        # A checkpoint of a network whose last layer is bounded has its range built in.
        built_in = spec.location is not None and getattr(factory, "bounded", True) and hasattr(factory, "weights")
        unset = "max_depth" in keys and not said and not built_in
        if unset and kind_of(teacher) is DepthKind.METRIC and farthest < UNBOUNDED:
            return replace(spec, options={**spec.options, "max_depth": f"{farthest:g}"})
        return spec

    def preflight(self, student: nn.Module) -> None:
        """Refuse before the first step, and before anything is written, whatever would fail later.

        Raises:
            KdcliError: as the stages, those of the twin, the evaluation or the export would.
        """
        config = self.config
        twin = () if config.twin is None else config.twin.stages(config.stages)
        for stage in (*config.stages, *twin):
            self.check(stage, student)
        if config.eval_data is not None:
            models = {"student": student, **self.teachers(config.main)}
            check_evaluation(models, self.source(config.eval_data), config.protocol, config.align)
        if config.export is not None:
            registry.load(registry.find("exporter", config.export))

    def check(self, stage: StageConfig, student: nn.Module) -> None:
        """Build everything of a stage that does not depend on an earlier one, to refuse what cannot work.

        Raises:
            ConfigError, PluginError, SpecError, WeightsError: as building would. DataError: the first images cannot be
                read, or are to be learned from and have no depth.
        """
        check_views(stage)
        self.feed(stage)
        self.taught(stage)
        if stage.train == "student":
            task = self.task(replace(stage, transform="none") if stage.transform == "fitted" else stage, student, None)
            with torch.no_grad():
                context = task.context(self.first(stage), 0, 1)
                check_outputs(context, task.losses)
                self._probe(stage, context.batch)
        else:
            for teacher in self.teachers(stage).values():
                probe_for(teacher, statistics_for(teacher, stage.statistics), **probe_options(stage))
            self.mixers(stage, None)

    def _probe(self, stage: StageConfig, batch: Batch) -> None:
        """Ask teachers that answer from the data whether it has an answer."""
        for name, teacher in self.teachers(stage).items():
            if hasattr(teacher, "from_batch"):
                valid = teacher.from_batch(batch).valid  # type: ignore[operator]
                if valid is not None and not bool(valid.any()):
                    raise DataError(
                        f"none of the first {len(batch)} images of '{stage.data}', such as '{batch.ids[0]}', has a "
                        f"pixel of depth that teacher '{name}' could teach; see: kdcli data check '{stage.data}'"
                    )

    def task(self, stage: StageConfig, student: nn.Module, fitted: Path | None) -> DistillTask:
        """Wire a stage and check that its losses get what they need."""
        losses: dict[str, tuple[float, Loss]] = {
            name: (weight, registry.build("loss", name)) for name, weight in stage.losses
        }
        task_loss = registry.build("loss", stage.task_loss) if stage.task_loss else None
        teachers = self.teachers(stage)
        mixers = self.mixers(stage, fitted)
        check_parts(stage, student, teachers, losses, task_loss, dict(zip(stage.mixers, mixers, strict=False)))
        made = DistillTask(
            stage,
            student,
            teachers,
            losses,
            mixers,
            task_loss,
            seed=seed_of(self.config.seed, "step"),
            device=self.device,
            amp=self.amp(stage),
            cached=tuple(cacheable(teachers)) if stage.teacher_cache != "none" else (),
        )
        return made.to(self.device)

    def mixers(self, stage: StageConfig, fitted: Path | None) -> list[Mixer]:
        """Return the stage's mixers, the transformation network last.

        One that is learned jointly is made anew, unless ``fitted`` is the file that it came to.
        """
        mixers = build_mixers(stage.mixers, seed_of(self.config.seed, stage.name))
        if stage.transform == "joint" and fitted is None:
            mixers.append(self._joint(stage).to(self.device))
        elif stage.transform != "none":
            path = fitted if stage.transform in ("fitted", "joint") else Path(stage.transform)
            if path is None:
                raise ConfigError(f"stage '{stage.name}' wants a fitted transformation, but none was fitted")
            mixers.append(load_mixer(path, probability=stage.transform_share).to(self.device))
        return mixers

    def _joint(self, stage: StageConfig) -> JointTransform:
        teachers = self.teachers(stage)
        if len(teachers) != 1:
            raise ConfigError(f"stage '{stage.name}' transforms for one teacher, not for {len(teachers)}")
        teacher = next(iter(teachers.values()))
        made = JointTransform(
            transform_network(stage, seed_of(self.config.seed, stage.name, "transform")),
            probability=stage.transform_share,
            content=stage.content,
            statistics=statistics_for(teacher, stage.statistics),
            lr_scale=(stage.transform_lr or stage.lr) / stage.lr,
            **probe_options(stage),
        )
        made.probe(teacher)  # what does not fit is refused here, not in the first step
        return made

    def amp(self, stage: StageConfig) -> torch.dtype | None:
        """Return the autocast type of a stage."""
        if stage.amp == "off":
            return None
        return torch.bfloat16 if stage.amp == "bf16" else autocast_dtype(self.device)


def transform_network(stage: StageConfig, seed: int) -> TransformNetwork:
    """Return the network that a stage fits, or learns jointly, as it begins: the identity."""
    with seeded(seed):
        return TransformNetwork(form=stage.network, width=stage.network_width, depth=stage.network_layers)


def probe_options(stage: StageConfig) -> dict[str, Any]:
    """Return how a stage measures feature statistics, as the arguments of ``kdcli.transform.probe_for``."""
    return {
        "norm": stage.norm, "layers": stage.statistics_layers, "weights": dict(stage.statistics_weights),
        "first": stage.statistics_first,
    }


def kind_of(model: nn.Module) -> DepthKind:
    """Return what a model's numbers mean."""
    return DepthKind(str(model.depth_kind))


def provenance(teachers: Mapping[str, nn.Module]) -> list[dict[str, object]]:
    """Return where the teachers' weights come from, for manifest and card."""
    return [_origin(spec, teacher) for spec, teacher in teachers.items()]


def begun_from(student: nn.Module) -> list[dict[str, object]]:
    """Return where the weights come from that a student begins with; empty when they are drawn at random."""
    known = getattr(student, "provenance", None)
    return [] if known is None else [_origin(str(known.name), student)]


def _origin(spec: str, model: nn.Module) -> dict[str, object]:
    known = getattr(model, "provenance", None)
    return {
        "spec": spec,
        "name": getattr(known, "name", spec),
        "weights": getattr(known, "weights", None),
        "sha256": getattr(known, "sha256", None),
        "licence": getattr(known, "licence", "unknown"),
        "training_data": getattr(known, "training_data", "unknown"),
        "depth_kind": str(model.depth_kind),
    }


def _layout(model: nn.Module) -> nn.Module:
    """Put convolutions into channels-last order, which both CPUs and GPUs run faster."""
    return model.to(memory_format=torch.channels_last)
