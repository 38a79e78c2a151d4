"""The main job: stages, twin, evaluation, picture, report, export; and how it goes on after an interruption."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.config import RunConfig, StageConfig
from kdcli.errors import ConfigError, WeightsError
from kdcli.files import sha256_of
from kdcli.networks.untouched import untouched
from kdcli.students.files import save_student
from kdcli.training.batches.feed import Feed, RenderCache
from kdcli.training.batches.teacher_cache import make
from kdcli.training.loop import checkpoint
from kdcli.training.loop import train as loop
from kdcli.training.loop.train import StepLog
from kdcli.training.run.finish import evaluate_run, export_run, picture_of_run, report_of_run
from kdcli.training.run.fit_stage import FitFiles, fit_stage, keep_joint
from kdcli.training.run.folder import RunFolder, new_path
from kdcli.training.run.progress import Progress, Silent
from kdcli.training.run.workshop import Workshop, begun_from, provenance
from kdcli.training.step.task import DistillTask


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run comes to."""

    run: Path
    student: Path
    steps: int
    seconds: float
    eval: Mapping[str, Any]
    """``student``, ``teacher``, ``twin`` -> result document; empty without evaluation data."""
    export: Path | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "run": str(self.run),
            "student": str(self.student),
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "eval": dict(self.eval),
            "export": None if self.export is None else str(self.export),
        }


def distill(
    config: RunConfig,
    *,
    out: Path | None = None,
    resume: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    cache: RenderCache | None = None,
    measure_teachers: bool = True,
) -> RunResult:
    """Distil, evaluate beside teacher and twin, and export.

    With ``resume`` the configuration of that run is used, finished parts are kept, and the stage under way goes on
    from its last checkpoint. cache: rendered images to share with other runs. measure_teachers: False where the
    teachers were measured on the same images before.

    Raises:
        ConfigError, DataError, WeightsError, PluginError: before the first step, wherever possible.
        TrainingError: the loss is no longer a number. KeyboardInterrupt: asked to stop; the state was saved.
    """
    progress = progress or Silent()
    begin = time.perf_counter()
    if resume is not None:
        run = RunFolder.open(resume)
        config = run.config()
    shop = Workshop(config=config, device=torch.device(device), cache=cache or RenderCache())
    # Everything that can be refused is refused before anything is written.
    student, spec = shop.student()
    shop.preflight(student)
    teachers = provenance(shop.teachers(config.main))
    if resume is None:
        run = RunFolder.create(
            out or new_path(config), config,
            {"student": spec, "teachers": teachers, "begun_from": begun_from(student), "device": str(shop.device)},
        )
    elif (threads := run.manifest().get("threads")) != torch.get_num_threads():
        now = torch.get_num_threads()
        progress.note(f"the run was begun on {threads} threads and goes on with {now}: last bits may differ")
    for row in (*teachers, *begun_from(student)):
        progress.note(f"{row['spec']}: licence {row['licence']}, trained on {row['training_data']}")
    with run.locked(), run.ending(progress.note):
        kept_before = float(run.manifest().get("seconds", 0.0)) if resume is not None else 0.0
        try:
            steps = _train(shop, run, spec, teachers, progress)
        finally:
            run.update(seconds=kept_before + time.perf_counter() - begin)
        results = evaluate_run(shop, run, progress, teachers=measure_teachers)
        picture_of_run(shop, run)
        exported = export_run(shop, run, progress)
        seconds = kept_before + time.perf_counter() - begin
        report_of_run(run, config, results, seconds)
        run.update(state="finished", seconds=seconds, eval=results, student_sha256=sha256_of(run.student))
    return RunResult(run=run.path, student=run.student, steps=steps, seconds=seconds, eval=results, export=exported)


def _train(shop: Workshop, run: RunFolder, spec: str, teachers: list[dict[str, Any]], progress: Progress) -> int:
    """Train what is not there yet: the run itself, then its twin."""
    config = shop.config
    variants: list[tuple[str, Path, tuple[StageConfig, ...]]] = [("student", run.student, config.stages)]
    if config.twin is not None:
        variants.append(("twin", run.twin, config.twin.stages(config.stages)))
    steps = 0
    for variant, path, stages in variants:
        counted = [loop.total_steps(stage, shop.feed(stage)) for stage in stages if stage.train == "student"]
        if variant == "student":
            steps = sum(counted)
        if path.is_file():
            progress.note(f"{variant}: finished before, kept")
            continue
        student, state = _train_variant(shop, run, variant, stages, progress)
        begun = begun_from(student)
        licence = ", ".join(sorted({str(row["licence"]) for row in (*teachers, *begun)}))
        save_student(
            path,
            student,
            spec,
            {
                "teachers": teachers,
                "begun_from": begun,
                "licence": licence,
                "recipe": config.recipe,
                "seed": config.seed,
                "variant": variant,
                "size": list(config.main.size),
                "training_data": config.main.data,
                "steps": sum(counted),
            },
            state,
        )
        run.drop_state()
    run.drop_state()
    return steps


def _train_variant(
    shop: Workshop, run: RunFolder, variant: str, stages: tuple[StageConfig, ...], progress: Progress
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    student, _ = shop.student()
    names = [stage.name for stage in stages]
    resume = checkpoint.read(run.state) if run.state.is_file() else None
    if resume is not None and resume["variant"] != variant:
        resume = None
    if resume is not None and resume["stage"] not in names:
        raise WeightsError(f"checkpoint '{run.state}' is of a stage '{resume['stage']}', not of this run; delete it")
    first = names.index(resume["stage"]) if resume is not None else 0
    state: dict[str, torch.Tensor] = {}
    for stage in stages[first:]:
        if stage.train == "transform":
            if not run.transform.is_file():
                progress.note(
                    f"{variant}: {stage.name}: fitting the transformation network to the teacher's statistics"
                )
                for note in fit_stage(shop, stage, FitFiles.beside(run.transform), progress.count):
                    progress.note(note)
            continue
        # A network that is learned jointly lies there only when its stage is done.
        fitted = run.transform if run.transform.is_file() and stage.transform != "joint" else None
        task = shop.task(stage, student, fitted)
        feed = _feed(shop, run, variant, stage, task, progress)
        task.build(shop.first(stage))
        run.forget_after(variant, stage.name, int(resume["step"]) if resume is not None else 0)
        if resume is not None:
            progress.note(f"{variant}: {stage.name}: going on after step {resume['step']}")
        else:
            progress.note(
                f"{variant}: {stage.name}: {loop.total_steps(stage, feed)} steps of {stage.batch_size} images"
            )

        def report(log: StepLog) -> None:
            run.log_step(log)
            progress.step(log)

        with untouched(shop.teachers(stage)):
            state = loop.train(
                stage,
                task,
                feed,
                seed=shop.config.seed,
                state_file=run.state,
                variant=variant,
                report=report,
                resume=resume,
            )
        student.load_state_dict(state)
        if (cache := shop.taught(stage)) is not None and cache.made:
            progress.note(f"{variant}: {stage.name}: {cache.made} maps were missing or of changed images, made again")
        if stage.transform == "joint":
            keep_joint(shop, stage, task, run.transform)
        resume = None
    return student, state


def _feed(
    shop: Workshop, run: RunFolder, variant: str, stage: StageConfig, task: DistillTask, progress: Progress
) -> Feed:
    """Return a stage's batches; with a teacher cache, once all of its maps are there."""
    cache = shop.taught(stage)
    feed = shop.feed(stage, cache)
    if cache is not None:
        told = make(cache, stage, feed, progress.count)
        where = ", ".join(str(row["folder"]) for row in told["caches"])
        progress.note(
            f"{variant}: {stage.name}: teacher cache of {told['maps']} maps, {told['made']} made now, in {where}"
        )
        for name in task.asking():
            progress.note(f"{variant}: {stage.name}: loss '{name}' looks into the teacher, which it runs in each step")
        known = run.manifest().get("teacher_cache", {})
        run.update(teacher_cache={**known, f"{variant}.{stage.name}": told})
    return feed


def resumable(path: Path) -> RunConfig:
    """Return the configuration of a run that is to go on.

    Raises:
        DataError: no run there. ConfigError: it is finished.
    """
    run = RunFolder.open(path)
    if run.manifest().get("state") == "finished":
        raise ConfigError(f"run '{path}' is finished; see it with: kdcli runs show '{path}'")
    return run.config()
