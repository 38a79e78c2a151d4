"""The steps of a recipe's main stage as its training does them, part by part, beside other loops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import torch

from kdcli.benching.clock import Times
from kdcli.benching.job import Progress, machine
from kdcli.benching.step_beside import Loop, beside
from kdcli.benching.step_parts import PARTS, PartClock, watched
from kdcli.benching.step_report import STEP, StepReport
from kdcli.choosing import Built
from kdcli.config import RunConfig, StageConfig
from kdcli.training.batches.augment import augment_step
from kdcli.training.batches.feed import Feed
from kdcli.training.loop.optim import clipped, lr_scales, optimizer_of
from kdcli.training.loop.train import Watch, total_steps
from kdcli.training.run.dry_run import peak_memory
from kdcli.training.run.preflight import preflight
from kdcli.training.run.student_form import student_form
from kdcli.training.run.teacher_engine import teacher_engines
from kdcli.training.run.trial import without_transform
from kdcli.training.run.workshop import Workshop
from kdcli.training.seeds import global_random_kept, seed_of
from kdcli.training.step.task import DistillTask


def bench_step(
    config: RunConfig, device: torch.device | str = "cpu", *, rounds: int = 9, warmup: int = 2,
    threads: int | None = None, built: Built | None = None, progress: Progress | None = None,
) -> StepReport:
    """Measure the main stage of a run.

    Args:
        config: of the run; nothing of it is written.
        device: on which it would be trained.
        rounds: in each of which a step and every other loop are done once, on the same images.
        warmup: rounds before them, of which nothing is kept.
        threads: of PyTorch; None: as many as it has.
        built: teachers and sources that are there already.
        progress: is told what is done.

    Raises:
        KdcliError: whatever the run itself would refuse.
    """
    told, device, before = progress or Progress(), torch.device(device), torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with global_random_kept(device):
            return _measured(config, device, rounds, warmup, built or Built(), told)
    finally:
        torch.set_num_threads(before)


def _measured(
    config: RunConfig, device: torch.device, rounds: int, warmup: int, built: Built, told: Progress
) -> StepReport:
    shop, stage = Workshop(config=config, device=device, built=built), config.main
    told.say("building")
    student, spec = shop.student()
    preflight(shop, student)
    notes = []
    if stage.transform == "fitted":
        stage = without_transform(stage)
        notes.append("the transformation network that an earlier stage fits does not exist yet: it is left out")
    task, teachers = shop.task(stage, student, None), shop.teachers(stage)
    first = shop.first(stage)
    task.build(first)
    engines = teacher_engines(shop, stage, task, first, stage.steps or 10**6, {})
    task.taught_by(engines.engines)
    with student_form(shop, stage, task, first, stage.steps or 10**6, {}) as form:
        notes += [*engines.notes, *form.notes]
        asked = [name for name, model in teachers.items() if not hasattr(model, "from_batch")]
        one = min(asked, key=task.is_cached, default=None)  # one that a step asks, if there is any
        if len(asked) > 1:
            notes.append(f"of {len(asked)} teachers the other loops ask '{one}' alone")
        others, more = (beside(stage, student, None) if one is None else
                        beside(stage, student, teachers[one], kept=task.is_cached(one)))
        notes += more
        networks = {**teachers, **{f"{name} engine": made.network for name, made in engines.engines.items()}}
        runs = student if form.engine is None else form.engine.network
        told.say("measuring")
        with watched(task, networks, clock := PartClock(device), student=runs):
            loops, how = _rounds(shop, stage, task, others, clock, warmup, rounds, told)
    task.end_training()
    clock.times = {name: _whole(clock.times[name], rounds) for name in PARTS if name in clock.times}
    return StepReport(
        teacher=", ".join(stage.teachers), student=spec, size=stage.seen, batch=stage.batch_size, device=str(device),
        threads=torch.get_num_threads(), machine=machine(), parts=clock.times, data=(how, loops[how]),
        loops={STEP: _sum([times for name, times in clock.times.items() if name != "waiting"]),
               **{name: loops[name] for name in others}},
        memory_mib=peak_memory(device), notes=notes,
    )


def _rounds(
    shop: Workshop, stage: StageConfig, task: DistillTask, others: dict[str, Loop], clock: PartClock, warmup: int,
    rounds: int, told: Progress,
) -> tuple[dict[str, Times], str]:
    """Let the steps and the other loops take their turns.

    Returns:
        What the other loops took, and decoding or rendering alone; and which of these two it is.
    """
    loops = PartClock(shop.device)
    steps = steps_of(shop, stage, task, clock, warmup + rounds)
    alone = Feed(  # nothing is kept of what it renders or decodes
        shop.images(stage), batch_size=stage.batch_size, size=stage.size, seed=seed_of(shop.config.seed, stage.name),
        device=shop.device, reduce=stage.reduce,
    ).batches(0, warmup + rounds)
    how = "render" if hasattr(shop.images(stage), "batch") else "decode"
    for number in range(warmup + rounds):
        with loops.part(how):
            image = next(alone).image
        # Nobody comes first in every round, when caches may be warmer or colder.
        turn: list[str] = [STEP, *others]
        turn = turn[number % len(turn):] + turn[: number % len(turn)]
        for name in turn:
            _one(name, steps, others, image, loops)
        clock.round(counts=number >= warmup)
        loops.round(counts=number >= warmup)
        told.round()
    return loops.times, how


def _one(name: str, steps: Iterator[None], others: dict[str, Loop], image: torch.Tensor, clock: PartClock) -> None:
    if name == STEP:
        next(steps)
        return
    with clock.part(name):
        others[name](image)


def steps_of(shop: Workshop, stage: StageConfig, task: DistillTask, clock: PartClock, total: int) -> Iterator[None]:
    """Do the steps of a stage as ``kdcli.training.loop.train`` does them, each as somebody asks for it."""
    parameters = list(task.trained_parameters())
    optimizer = optimizer_of(stage, parameters, lr_scales(task.plugins))
    generator, watch = torch.Generator(device=shop.device), Watch(stage)
    cache, feed = shop.taught(stage), shop.feed(stage)
    # As many processes decode as in the stage itself, which has more images than are measured.
    images = total_steps(stage, feed) * stage.accumulate * stage.batch_size
    batches = feed.batches_of(map(feed.indices, range(total)), images)
    for number in itertools.count():
        with clock.part("waiting"):
            batch = next(batches)
        if cache is not None:  # as if it had been kept before
            batch = replace(batch, taught=cache.ask(batch))
            clock.forget("teacher")
        with clock.part("augment"):
            batch = augment_step(batch, stage, generator, seed=shop.config.seed, step=number)
        with clock.part("optimiser"):
            optimizer.zero_grad(set_to_none=True)
        with clock.part("losses"):
            result = task(batch, number, total, distances=feed.order.asks)
            watch.see(batch.ids, result)
        with clock.part("backward"):
            if result.loss.requires_grad:
                result.loss.backward()
        with clock.part("optimiser"):
            clipped(parameters, stage.clip or float("inf"))
            if shop.device.type == "cpu":
                watch.check(number + 1)
            optimizer.step()
        with clock.part("losses"):
            task.after_step()
        yield


def _sum(parts: list[Times]) -> Times:
    rows = [[sum(values) for values in zip(*(getattr(one, key) for one in parts), strict=True)]
            for key in ("wall", "processor")]
    return Times(wall=rows[0], processor=rows[1])


def _whole(times: Times, rounds: int) -> Times:
    """Return the times of a part that not every round had, with none for the others."""
    lacking = [0.0] * (rounds - len(times.wall))
    return Times(wall=times.wall + lacking, processor=times.processor + lacking if times.processor else [])
