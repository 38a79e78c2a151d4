"""The main job: stages, twin, evaluation, picture, report, export; and how it goes on after an interruption."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from kdcli.choosing import Built
from kdcli.config import RunConfig, StageConfig
from kdcli.config.references import trains_student
from kdcli.errors import ConfigError
from kdcli.files import sha256_of
from kdcli.interrupts import undisturbed
from kdcli.many.group import Group
from kdcli.students.files import save_student
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.loop import kept
from kdcli.training.loop import train as loop
from kdcli.training.run.choice import choice_of, told
from kdcli.training.run.disk import check_room, disk_of
from kdcli.training.run.ending import disk_told
from kdcli.training.run.fidelity import documents_of, fidelity_of_run
from kdcli.training.run.finish import evaluate_run, export_run, models_of, picture_of_run, report_of_run
from kdcli.training.run.fit_stage import FitFiles, take_over
from kdcli.training.run.folder import RunFolder, new_path
from kdcli.training.run.following import opened, writes
from kdcli.training.run.loggers import AUTO, Loggers, build_loggers
from kdcli.training.run.made_for import made_for
from kdcli.training.run.preflight import preflight
from kdcli.training.run.progress import Progress, Silent
from kdcli.training.run.provenance import begun_from, check_begun, licensed, provenance
from kdcli.training.run.results import RUN, StageResults
from kdcli.training.run.variant import VariantTraining
from kdcli.training.run.workshop import Workshop
from kdcli.watching.look import EVALUATION


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run comes to."""

    run: Path
    student: Path
    steps: int
    seconds: float
    eval: Mapping[str, Any]
    """``student``, ``teacher``, ``twin`` -> result document; empty without evaluation data."""
    fidelity: Mapping[str, Any] = field(default_factory=dict)
    """``teacher`` (further ones are counted) -> ``student``, ``twin`` -> result document against that teacher on
    held-out images: no accuracy. Empty without ``holdout``."""
    export: Path | None = None
    choice: Mapping[str, Any] = field(default_factory=dict)
    """The recipe, and the reasons for it and for values that nobody said."""

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "run": str(self.run),
            "student": str(self.student),
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "eval": dict(self.eval),
            **({"fidelity": dict(self.fidelity)} if self.fidelity else {}),
            "export": None if self.export is None else str(self.export),
            "choice": dict(self.choice),
        }


def distill(
    config: RunConfig,
    *,
    out: Path | str | None = None,
    resume: Path | str | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    cache: RenderCache | None = None,
    measure_teachers: bool = True,
    built: Built | None = None,
    loggers: Sequence[str] | None = None,
    group: Group | None = None,
    disk_check: bool = True,
    fitted: RunFolder | None = None,
) -> RunResult:
    """Distil, evaluate beside teacher and twin, and export.

    With ``resume`` the configuration of that run is used, finished parts are kept, and the stage under way goes on
    from its last checkpoint. cache: rendered images to share with other runs. measure_teachers: False where the
    teachers were measured on the same images before. built: teachers and sources that are there already. loggers: specs
    of who is told, in place of the configuration's, of a run that goes on too. group: the processes that train it, each
    on its part of every batch; the first one does the rest, and what the others return has no results in it.
    disk_check: whether a run is refused whose files do not fit on the disk. fitted: a run that fitted the
    transformation network that a new one would fit; it is taken over.

    Raises:
        ConfigError, DataError, WeightsError, PluginError: before the first step, wherever possible.
        TrainingError: the loss is no longer a number. KeyboardInterrupt: asked to stop; the state was saved.
    """
    progress = progress or Silent()
    begin = time.perf_counter()
    if resume is not None:
        run = opened(group, lambda: RunFolder.open(Path(resume)))
        config = run.config()
    if loggers is not None:
        config = replace(config, loggers=tuple(loggers))
    shop = Workshop(
        config=config, device=torch.device(device), cache=cache or RenderCache(), built=built or Built(),
        group=group, results=StageResults(writes=writes(group)),
    )
    if resume is not None:
        shop.built.encoders.pinned = run.manifest().get("encoders")
    if resume is not None and shop.holdout is not None:
        shop.holdout.check_unchanged(run.manifest().get("holdout", {}), run.path)
    if resume is None and config.reasons:
        progress.note(told(config))
    # Everything that can be refused is refused before anything is written.
    watchers = Loggers(build_loggers(config, resumed=resume is not None, note=progress.note), progress.note)
    others = [spec for spec in config.loggers if spec != AUTO]
    if resume is None and others and config.origins.get("run.loggers") == "recipe":  # it may be a stranger's
        progress.note(f"recipe '{config.recipe}' has this run told to {', '.join(others)}; --logger none: to nobody")
    student, spec = shop.student()
    if resume is not None:
        check_begun(student, run.manifest().get("begun_from"))
    states = preflight(shop, student)
    place = run.path if resume is not None else Path(out) if out else new_path(config)
    if disk_check and writes(group):
        check_room(disk_of(shop, student, states, place), place)
    teachers = provenance(shop)
    if resume is None:
        facts = {
            "student": spec, "teachers": teachers, "begun_from": begun_from(student), "device": str(shop.device),
            "choice": choice_of(config), "encoders": shop.built.encoders.taken,
            **({} if shop.holdout is None else {"holdout": shop.holdout.document()}),
            **({} if group is None else {"processes": group.size}),
        }
    with ExitStack() as ends:
        with undisturbed():  # once there is a run, how it ends is written down
            if resume is None:
                run = opened(group, lambda: RunFolder.create(place, config, facts))
            for end in (
                run.locked(), watchers.watching(run, config, resumed=resume is not None), run.ending(progress.note),
                disk_told(run.path, run.state),
            ):
                ends.enter_context(end)
        now, threads = torch.get_num_threads(), run.manifest().get("threads")
        if resume is not None and threads != now:
            progress.note(f"the run was begun on {threads} threads and goes on with {now}: last bits may differ")
        for row in (*teachers, *begun_from(student)):
            progress.note(f"{row['spec']}: licence {row['licence']}, trained on {row['training_data']}")
        if fitted is not None and resume is None and writes(group):
            take_over(FitFiles.beside(fitted.transform), FitFiles.beside(run.transform))
            progress.note(f"the transformation network that '{fitted.path}' fitted is this run's too")
        run.begin_again()
        kept_before = float(run.manifest().get("seconds", 0.0)) if resume is not None else 0.0
        try:
            steps = _train(shop, run, spec, teachers, progress, watchers)
        finally:
            run.update(seconds=kept_before + time.perf_counter() - begin)
        run.update(now={"variant": RUN, "stage": EVALUATION})
        if group is not None:
            group.wait()  # until the first process has written student and twin
        measured = evaluate_run(shop, run, progress, teachers=measure_teachers)
        if not writes(group):
            seconds = time.perf_counter() - begin
            return RunResult(run=run.path, student=run.student, steps=steps, seconds=seconds, eval={})
        results = {} if measured is None else measured.documents()
        watchers.results("eval", results)
        against = fidelity_of_run(shop, run, progress, lambda: models_of(shop, run))
        fidelity = documents_of(against)
        watchers.results("fidelity", next(iter(fidelity.values()), {}))
        examples = picture_of_run(shop, run)
        watchers.pictures(run.path, ("picture", "images"))
        exported = export_run(shop, run, progress)
        seconds = kept_before + time.perf_counter() - begin
        report_of_run(run, config, measured, against, examples, seconds)
        run.drop_states(config)
        faithful = {"fidelity": fidelity} if fidelity else {}
        run.update(state="finished", seconds=seconds, eval=results, **faithful, student_sha256=sha256_of(run.student))
    return RunResult(
        run=run.path, student=run.student, steps=steps, seconds=seconds, eval=results, fidelity=fidelity,
        export=exported, choice=run.manifest().get("choice", {}),
    )


def _train(
    shop: Workshop, run: RunFolder, spec: str, teachers: list[dict[str, Any]], progress: Progress, loggers: Loggers
) -> int:
    """Train what is not there yet: the run itself, then its twin. Return the updates of the run's student."""
    config = shop.config
    variants: list[tuple[str, Path, tuple[StageConfig, ...]]] = [(RUN, run.student, config.stages)]
    if config.twin is not None:
        variants.append(("twin", run.twin, config.twin.stages(config.stages)))
    plan = _planned(shop, variants)
    loggers.plan(plan)
    images = {stage.name: stage.batch_size * stage.accumulate for stage in config.stages}
    run.update(plan=[
        {"variant": variant, "stage": name, "steps": count, "images": images[name]}
        for (variant, name), count in plan.items()
    ])
    steps = 0
    for variant, path, stages in variants:
        counted = sum(plan[variant, stage.name] for stage in stages if trains_student(config.stages, stage))
        if variant == RUN:
            steps = counted
        training = VariantTraining(
            shop=shop, run=run, variant=variant, stages=stages, progress=progress, loggers=loggers
        )
        if path.is_file():
            progress.note(f"{variant}: finished before, kept")
            training.restore()
            continue
        student, state = training.train()
        if not writes(shop.group):
            continue
        save_student(
            path,
            student,
            spec,
            {
                **licensed(teachers, student),
                "recipe": config.recipe,
                "seed": config.seed,
                "variant": variant,
                "size": list(config.main.size),
                "training_data": config.main.data,
                "steps": counted,
            },
            state,
            made_for=made_for(shop, config.main, student),
        )
        run.state.unlink(missing_ok=True)
        kept.drop(run.state.parent)
    shop.variant = RUN
    return steps


def _planned(
    shop: Workshop, variants: Sequence[tuple[str, Path, Sequence[StageConfig]]]
) -> dict[tuple[str, str], int]:
    """Return the updates of every stage of every variant, in order."""
    return {
        (variant, stage.name): stage.steps or loop.total_steps(stage, shop.feed(stage))
        for variant, _, stages in variants for stage in stages
    }


def resumable(path: Path) -> RunConfig:
    """Return the configuration of a run that is to go on.

    Raises:
        DataError: no run there. ConfigError: it is finished.
    """
    run = RunFolder.open(path)
    if run.manifest().get("state") == "finished":
        raise ConfigError(f"run '{path}' is finished; see it with: kdcli runs show '{path}'")
    return run.config()
