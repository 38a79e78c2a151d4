"""The stages of a run, or of its twin, one after the other: what is done is kept, what was begun goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from kdcli.config import StageConfig
from kdcli.config.references import STAGE, origin_of
from kdcli.errors import ConfigError, WeightsError
from kdcli.networks.untouched import untouched
from kdcli.plugins.surroundings import kept_by_plugins
from kdcli.students.files import save_student
from kdcli.training.batches.feed import Batches, Feed
from kdcli.training.batches.hard_order import HardOrder
from kdcli.training.batches.keeping import why_asked
from kdcli.training.batches.memory_maps import MEMORY, MemoryMaps
from kdcli.training.batches.order import Order
from kdcli.training.batches.shared import SharedFeed
from kdcli.training.batches.teacher_cache import make
from kdcli.training.loop import kept
from kdcli.training.loop import train as loop
from kdcli.training.loop.train import StepLog
from kdcli.training.run.along import keep_along
from kdcli.training.run.asking import from_outside, images_shown
from kdcli.training.run.beginning import begin
from kdcli.training.run.drift import ScaleWatch
from kdcli.training.run.ending import memory_told
from kdcli.training.run.fit_stage import FitFiles, fit_stage, keep_joint
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.following import in_turn, of_all, shared_how, writes
from kdcli.training.run.hard_images import begins, hard_images, record_order, recorded_order
from kdcli.training.run.loggers import Loggers
from kdcli.training.run.made_for import made_for
from kdcli.training.run.progress import Progress
from kdcli.training.run.provenance import inherited
from kdcli.training.run.results import RUN, order_file
from kdcli.training.run.sharing import shared_out
from kdcli.training.run.student_form import student_form
from kdcli.training.run.teacher_engine import TeacherEngines, teacher_engines
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.task import DistillTask
from kdcli.types import Batch


@dataclass(kw_only=True)
class VariantTraining:
    """Trains the stages of one variant (``student`` or ``twin``) in a run folder."""

    shop: Workshop
    run: RunFolder
    variant: str
    stages: tuple[StageConfig, ...]
    progress: Progress
    loggers: Loggers
    _networks: dict[str | None, tuple[nn.Module, str]] = field(default_factory=dict)
    """By the stage that began them; None is the run's student. With their specs."""
    _done: list[str] = field(default_factory=list)

    def train(self) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        """Train what is not done and return the run's student with its final tensors."""
        self.shop.variant = self.variant
        resume = self._begun()
        state: dict[str, torch.Tensor] = {}
        for stage in self.stages:
            if stage.train == "transform":
                self._fit(stage)
                continue
            student, _ = self._network(stage)
            if self._several and self.shop.results.restore(self.variant, stage.name, student, self._folder):
                self._done.append(stage.name)
                continue
            here = resume if resume is not None and resume["stage"] == stage.name else None
            state = self._stage(stage, student, here)
        student, _ = self._network(self.stages[-1])
        return student, state or dict(student.state_dict())

    def restore(self) -> None:
        """Read the results of stages that were done before, for those who name them later."""
        for stage in self.stages:
            if stage.train == "student" and self._several:
                self.shop.results.restore(self.variant, stage.name, self._network(stage)[0], self._folder)

    @property
    def _several(self) -> bool:
        return sum(stage.train == "student" for stage in self.shop.config.stages) > 1

    @property
    def _folder(self) -> Any:
        return self.run.state.parent

    def _begun(self) -> dict[str, Any] | None:
        """Return the state of the stage under way, if it is one of this variant.

        Raises:
            WeightsError: it is damaged, or of a stage that there is not.
        """
        state = kept.newest(self.run.state, self.variant)
        if state is None:
            return None
        if state["stage"] not in [stage.name for stage in self.stages]:
            raise WeightsError(
                f"checkpoint '{state['file']}' is of a stage '{state['stage']}', not of this run; delete it"
            )
        return state

    def _network(self, stage: StageConfig) -> tuple[nn.Module, str]:
        """Return the network that a stage trains, as the stages before left it."""
        origin = origin_of(self.shop.config.stages, stage)
        if origin not in self._networks:
            self._networks[origin] = self.shop.network(stage)
        return self._networks[origin]

    def _fit(self, stage: StageConfig) -> None:
        group = self.shop.group
        if writes(group) and not self.run.transform.is_file():
            self._fit_here(stage)
        if group is not None:
            group.wait()

    def _fit_here(self, stage: StageConfig) -> None:
        self.progress.note(
            f"{self.variant}: {stage.name}: fitting the transformation network to the teacher's statistics"
        )
        self._now(stage)
        found, notes = fit_stage(
            self.shop, stage, FitFiles.beside(self.run.transform, state=self.run.fit_state), self.progress.count,
            lambda step, total, loss: self.loggers.fitted(self.variant, stage.name, step, total, loss),
        )
        self.loggers.pictures(self.run.path, ("transform-images", "transform-layers"))
        worse = "" if found.improved else "; no better: try other images, more steps or another lr"
        notes = [f"statistics loss {found.before:.4g} -> {found.after:.4g}{worse}", *notes]
        for note in notes:
            self.progress.note(f"{self.variant}: {stage.name}: {note}")

    def _stage(
        self, stage: StageConfig, student: nn.Module, resume: dict[str, Any] | None
    ) -> dict[str, torch.Tensor]:
        shop, run, where = self.shop, self.run, f"{self.variant}: {stage.name}"
        if stage.student is not None and stage.student.startswith(STAGE):
            result = shop.results.get(self.variant, stage.student.removeprefix(STAGE))
            assert result is not None
            student.load_state_dict(result.model.state_dict())
        # A network that is learned jointly lies there only when its stage is done.
        fitted = run.transform if run.transform.is_file() and stage.transform != "joint" else None
        task = shop.task(stage, student, fitted)
        order = self._order(stage)
        outside = from_outside(shop, stage)
        with images_shown(outside) as making:
            feed = self._feed(stage, task, order)
        first = shop.first(stage, shop.taught(stage))
        if resume is None and (level := begin(shop.config, self.stages, stage, task, student, first)) is not None:
            self.progress.note(f"{where}: begins at {level:.3g}, the median of what is taught of the first images")
        task.build(first)
        for name in shop.results.carry(self.variant, self._done, task, shop.device):
            self.progress.note(f"{where}: loss '{name}' goes on with what it learned before")
        told_before = run.forget_after(self.variant, stage.name, int(resume["step"]) if resume is not None else 0)
        if resume is not None:
            self.progress.note(f"{where}: going on after step {resume['step']}")
        else:
            self.progress.note(f"{where}: {loop.total_steps(stage, feed)} steps of {stage.batch_size} images")
        self._now(stage)
        if shop.group is not None:
            self.progress.note(f"{where}: {shared_how(shop.group, stage)}")
            if (parts := shared_out(shop.teachers(stage).values())) is not None:
                self.progress.note(f"{where}: {parts}")
        batches = loop.total_steps(stage, feed) * stage.accumulate
        if isinstance(order, HardOrder):
            self.progress.note(f"{where}: {begins(order, batches)}")

        engines = self._engines(stage, task, first, batches)
        watch = ScaleWatch(held=task.holds_scale)
        if resume is not None:
            mine = {"variant": self.variant, "stage": stage.name}
            rows = (row for row in run.metrics() if mine.items() <= row.items())
            watch.restore(rows, loop.total_steps(stage, feed))

        def report(log: StepLog) -> None:
            self.progress.step(log)
            if not log.regular:  # what is written down is the same however often a run was stopped
                return
            run.log_step(log)
            self.loggers.step(log, repeated=log.step <= told_before)
            if (warning := watch.add(log)) is not None:
                self.progress.note(f"{where}: {warning}")

        # Maps in memory are made again by a run that goes on, which counts them once.
        before = making() if resume is None else resume.get("teacher_images", 0)
        if resume is not None and not writes(shop.group):
            before = 0  # the first process tells what all of them had shown
        with (
            untouched(shop.teachers(stage)), kept_by_plugins(f"stage '{stage.name}'"),
            images_shown([*outside, *engines.networks(outside)], before) as here, memory_told(stage),
            self._form(stage, task, first, batches),
        ):
            shown = partial(of_all, shop.group, here)
            state = loop.train(
                stage, task, feed, seed=shop.config.seed, state_file=run.state, variant=self.variant, report=report,
                resume=resume, shown=shown, group=shop.group,
            )
        asked = run.manifest().get("teacher_images", {})
        run.update(teacher_images={**asked, f"{self.variant}.{stage.name}": shown()})  # every process is asked
        student.load_state_dict(state)
        if self.variant == RUN and writes(shop.group):
            for file in keep_along(shop, run, stage, task):
                self.progress.note(f"{where}: trained along and kept: {file}")
        self._tell_scale(stage, watch)
        if isinstance(order, HardOrder) and writes(shop.group):
            self._tell_hard(stage, shop.feed(stage), order, batches)
        if (cache := shop.taught(stage)) is not None and cache.made:
            self.progress.note(f"{where}: {cache.made} maps were missing or of changed images, made again")
        if stage.transform == "joint" and writes(shop.group):
            keep_joint(shop, stage, task, run.transform)
        if self._several:
            self._keep(stage, task)
        return state

    def _engines(self, stage: StageConfig, task: DistillTask, first: Batch, batches: int) -> TeacherEngines:
        """Let another form of the teachers run in their place, if the stage asks for one, and write down which.

        What teachers are shown to choose and to check it is counted with what a stage shows them nowhere: their answers
        teach nothing.
        """
        known = self.run.manifest().get("teacher_engine", {})
        engines = teacher_engines(self.shop, stage, task, first, batches, known)
        task.taught_by(engines.engines)
        for note in engines.notes:
            self.progress.note(f"{self.variant}: {stage.name}: {note}")
        if engines.told:
            self.run.update(teacher_engine={**known, f"{self.variant}.{stage.name}": engines.told})
        return engines

    @contextmanager
    def _form(self, stage: StageConfig, task: DistillTask, first: Batch, batches: int) -> Iterator[None]:
        """Train the student inside the block in the form that the stage asks for, and write down which."""
        known = self.run.manifest().get("student_form", {})
        with student_form(self.shop, stage, task, first, batches, known) as form:
            for note in form.notes:
                self.progress.note(f"{self.variant}: {stage.name}: {note}")
            if form.told:
                self.run.update(student_form={**known, f"{self.variant}.{stage.name}": form.told})
            yield

    def _now(self, stage: StageConfig) -> None:
        """Write down which stage is under way, for those who watch."""
        self.run.update(now={"variant": self.variant, "stage": stage.name})

    def _order(self, stage: StageConfig) -> Order | None:
        """Return the order of a stage's images; a twin's is the run's, whatever its own student finds hard."""
        order = self.shop.order(stage)
        if order is None or self.variant == RUN:
            return order
        if self.shop.group is not None:
            self.shop.group.wait()  # until the first process has written it
        return recorded_order(order_file(self._folder, stage.name), len(self.shop.images(stage)), stage.batch_size)

    def _tell_hard(self, stage: StageConfig, feed: Feed, order: HardOrder, batches: int) -> None:
        """Write down which images were far from the teacher, and for a twin in what order they came."""
        told = hard_images(order, feed)
        known = self.run.manifest().get("hard_images", {})
        self.run.update(hard_images={**known, stage.name: told})
        named = ", ".join(f"{row['id']} ({row['distance']:.3g})" for row in told["hardest"][:3])
        self.progress.note(f"{self.variant}: {stage.name}: farthest from the teacher: {named or 'nothing is known'}")
        if order.record:
            record_order(order_file(self._folder, stage.name), order, batches, stage.batch_size)

    def _tell_scale(self, stage: StageConfig, watch: ScaleWatch) -> None:
        """Write down whether the student kept to its teacher's scale; say so where it did not."""
        if (told := watch.verdict()) is None:
            return
        known = self.run.manifest().get("scale", {})
        self.run.update(scale={**known, f"{self.variant}.{stage.name}": told})
        if not told["kept"]:
            self.progress.note(f"{self.variant}: {stage.name}: {told['note']}")

    def _keep(self, stage: StageConfig, task: DistillTask) -> None:
        """Keep a stage's result for later ones; a network that is not the run's student as a student's file too."""
        origin = origin_of(self.shop.config.stages, stage)
        if origin is not None and writes(self.shop.group):
            _, spec = self._network(stage)
            facts = inherited(self.shop, stage, task.student)
            save_student(
                self.run.stage(stage.name), task.student, spec,
                {**facts, "recipe": self.shop.config.recipe, "seed": self.shop.config.seed, "stage": stage.name,
                 "size": list(stage.size), "training_data": stage.data},
                made_for=made_for(self.shop, stage, task.student),
            )
        self.shop.results.keep(self.variant, stage.name, task, self._folder)
        self._done.append(stage.name)

    def _feed(self, stage: StageConfig, task: DistillTask, order: Order | None) -> Batches:
        """Return a stage's batches; with a teacher cache, once all of its maps are there."""
        cache = self.shop.taught(stage)
        feed, where = self.shop.feed(stage, cache, order=order), f"{self.variant}: {stage.name}"
        group = self.shop.group
        shared: Batches = feed if group is None else SharedFeed(feed, group)
        known, key = self.run.manifest().get("teacher_cache", {}), f"{self.variant}.{stage.name}"
        if cache is not None:
            in_memory = isinstance(cache, MemoryMaps)
            # Maps on a disk are of images as they are, those in memory of images as the stage shows them.
            with in_turn(None if in_memory else group):  # what the first process makes, the others find
                told = make(cache, stage, self.shop.feed(stage, cache, exact=not in_memory), self.progress.count)
            folders = "memory" if in_memory else ", ".join(str(row["folder"]) for row in told["caches"])
            self.progress.note(
                f"{where}: teacher cache of {told['maps']} maps, {told['made']} made now, in {folders}"
            )
            for name in task.asking():
                self.progress.note(f"{where}: loss '{name}' looks into the teacher, which it runs in each step")
            if known.get(key, {}).get("asked"):
                self.progress.note(f"{where}: teachers were asked in each step until now, from here on maps are kept")
            self.run.update(teacher_cache={**known, key: told})
        elif stage.teacher_cache == MEMORY:
            why = why_asked(stage, feed.source, self.shop.teachers(stage)) or "they answer from the data"
            if known.get(key, {}).get("maps"):
                raise ConfigError(
                    f"{where} began with its teachers' maps in memory and would go on with others: {why}; resume it "
                    "where there is as much memory, or start another run"
                )
            self.progress.note(f"{where}: teachers are asked in each step: {why}")
            self.run.update(teacher_cache={**known, key: {"asked": why}})
        return shared
