"""The training loop of one stage. It does not know that it is distilling."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from kdcli import interrupts
from kdcli.config import StageConfig
from kdcli.config.sizes import check_steps
from kdcli.errors import TrainingError
from kdcli.many.group import Group
from kdcli.training.batches.augment import augment_step
from kdcli.training.batches.feed import Batches
from kdcli.training.batches.growing import growing
from kdcli.training.loop import checkpoint, kept
from kdcli.training.loop.optim import Averaged, clipped, has_learned, lr_factor, lr_scales, optimizer_of
from kdcli.training.loop.precision import loss_scaler, tf32, update
from kdcli.training.loop.stepping import stepping
from kdcli.training.seeds import global_random_kept
from kdcli.training.step.task import DistillTask, StepResult


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 arrived; the state was saved after the step that was under way.

    kept: which that is.
    """

    def __init__(self, kept: str = "") -> None:
        super().__init__()
        self.kept = kept


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLog:
    """What is told of a step: the loss, its terms, speed."""

    variant: str
    stage: str
    step: int
    total: int
    loss: float
    terms: dict[str, float]
    notes: dict[str, float]
    """What plugins told beside their terms."""
    lr: float
    grad_norm: float
    images_per_second: float
    scale: float | None = None
    """How large the student's depth is beside its teacher's; None where no teacher gave depth."""
    scale_spread: float | None = None
    """Standard deviation of its logarithm over the images of the batch."""
    regular: bool = True
    """Whether a run that was never stopped tells this step too: where one goes on, its first step is told besides."""


Report = Callable[[StepLog], None]


def total_steps(stage: StageConfig, feed: Batches) -> int:
    """Return the number of updates of a stage; an epoch shows every image about once.

    Raises:
        ConfigError: more than any run does.
    """
    if stage.steps is not None:
        return stage.steps
    assert stage.epochs is not None
    steps = max(stage.epochs * feed.steps_per_epoch // stage.accumulate, 1)
    check_steps(steps, f"epochs={stage.epochs} of stage '{stage.name}'")
    return steps


def train(
    stage: StageConfig,
    task: DistillTask,
    feed: Batches,
    *,
    seed: int,
    state_file: Path,
    variant: str,
    report: Report,
    resume: dict[str, Any] | None = None,
    shown: Callable[[], int] = int,
    group: Group | None = None,
) -> dict[str, Tensor]:
    """Train until the stage's steps are done and return the student's tensors.

    A state is written every ``checkpoint_every`` updates and when the process is asked to stop; the last
    ``keep_checkpoints`` are kept. shown: tells how many
    images teachers were shown so far, which is kept in it. group: of processes that each train on their part of every
    batch; the first one writes.

    Raises:
        TrainingError: the loss is no longer a number; the message names the images. Interrupted: asked to stop.
    """
    device = feed.device
    total = total_steps(stage, feed)
    optimizer = optimizer_of(stage, task.trained_parameters(), lr_scales(task.plugins))
    average = Averaged(task.student, stage.ema) if stage.ema else None
    order = feed.order
    scaler = loss_scaler(task.amp, device)
    start = checkpoint.restore(resume, task, optimizer, average, order, scaler) if resume else 0
    generator = torch.Generator(device=device)
    watch = Watch(stage)
    grow = 0.0 if task.shows_teachers else stage.grow  # a teacher would be shown images of another size than its own
    task.begin_training()
    steps = stepping(task, group)
    batches = feed.batches(start * stage.accumulate, total * stage.accumulate)
    # Where only inner updates learn, the main optimiser has nothing to see.
    learned = next(task.trained_parameters(), None) is None or has_learned(optimizer)
    begin, seen = time.perf_counter(), 0

    def save(step: int) -> None:
        images = shown()
        if group is not None and not group.first:
            return
        checkpoint.save(
            state_file, variant=variant, stage=stage.name, step=step, task=task, optimizer=optimizer, average=average,
            order=order, teacher_images=images, scaler=scaler,
        )
        kept.keep(state_file, variant=variant, stage=stage.name, step=step, most=stage.keep_checkpoints)

    with stop_requests() as asked, global_random_kept(device), tf32(stage.tf32, device):
        for step in range(start, total):
            lr = stage.lr * lr_factor(stage, step, total)
            for moved in optimizer.param_groups:
                moved["lr"] = lr * moved.get("lr_scale", 1.0)
            optimizer.zero_grad(set_to_none=True)
            done = step + 1
            regular = done % stage.log_every == 0 or done in (1, total)
            told = regular or step == start
            for part in range(stage.accumulate):
                number = step * stage.accumulate + part
                batch = next(batches)
                batch = augment_step(batch, stage, generator, seed=seed, step=number)
                if grow:
                    batch = growing(batch, stage.seen, grow, number / (total * stage.accumulate))
                last = part == stage.accumulate - 1
                result = steps.forward(
                    batch, number, total * stage.accumulate, number // feed.steps_per_epoch, last=last,
                    told=told and last, distances=order.asks,
                )
                order.see(number, result.distance)
                steps.backward(scaler.scale(result.loss / stage.accumulate), last=last)
                watch.see(batch.ids, result)
                seen += len(batch)
            scaler.unscale_(optimizer)
            norm = clipped(task.trained_parameters(), stage.clip or float("inf"))
            saved = done % stage.checkpoint_every == 0
            if told or saved or device.type == "cpu":
                watch.check(done)
            update(optimizer, scaler)
            task.after_step()
            if average is not None:
                average.update(task.student)
            if told:
                speed = seen / (time.perf_counter() - begin)
                learned = learned or float(norm) > 0
                scale = [None, None] if result.scale is None else result.scale.tolist()
                report(
                    StepLog(
                        variant=variant,
                        stage=stage.name,
                        step=done,
                        total=total,
                        loss=float(result.loss.detach()),
                        terms={name: float(value) for name, value in result.terms.items()},
                        notes={name: float(value) for name, value in (*result.notes.items(), *order.notes().items())},
                        lr=lr,
                        grad_norm=float(norm),
                        images_per_second=speed,
                        scale=scale[0],
                        scale_spread=scale[1],
                        regular=regular,
                    )
                )
            stopping = steps.stopping(asked.is_set())
            if stopping:
                watch.check(done)
            if stopping or saved or done == total:  # the last one too: its student is yet to be written
                save(done)
            if stopping:
                raise Interrupted(f"{variant}, stage '{stage.name}', {done} of {total} steps")
    steps.end()
    task.end_training()
    if not learned and not has_learned(optimizer):
        raise TrainingError(
            f"stage '{stage.name}' learned nothing in {total} steps: no batch of '{stage.data}' had anything to teach; "
            f"see: kdcli data check '{stage.data}'"
        )
    return checkpoint.student_state(task.student, average)


class Watch:
    """Finds images that make the loss something other than a number, without asking the device at every step."""

    def __init__(self, stage: StageConfig) -> None:
        self._stage = stage
        self._recent: list[tuple[tuple[str, ...], Tensor, Tensor, Mapping[str, Tensor]]] = []

    def see(self, ids: tuple[str, ...], result: StepResult) -> None:
        """Remember a batch: its images and what a step gave for it."""
        self._recent.append((ids, result.sound, torch.isfinite(result.loss.detach()), result.terms))

    def check(self, step: int) -> None:
        """Look at what was seen since the last check.

        Raises:
            TrainingError: a loss or an image was no finite number.
        """
        for ids, sound, finite, terms in self._recent:
            if not bool(finite & sound.all()):
                wrong = [name for name, value in terms.items() if not bool(torch.isfinite(value))]
                bad = [name for name, good in zip(ids, sound.tolist(), strict=True) if not good] or list(ids)
                where = f" in {', '.join(wrong[:4])}{' ...' if len(wrong) > 4 else ''}" if wrong else ""
                raise TrainingError(
                    f"the loss of stage '{self._stage.name}' is not a number at step {step}{where}; images: "
                    f"{', '.join(bad[:4])}{' ...' if len(bad) > 4 else ''}; look at them with 'kdcli data check', "
                    "or lower --lr"
                )
        self._recent.clear()


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn Ctrl-C and its like into a flag that the loop reads between steps; a second Ctrl-C stops at once.

    Raises:
        Interrupted: asked to stop after the last time that the flag was read: no request is lost.
    """
    asked = threading.Event()
    interrupts.forget()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set() and interrupts.repeated(number):
            return
        interrupts.note(number)
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in interrupts.requests()}
    interrupts.listen(asked)
    try:
        yield asked
    finally:
        interrupts.leave(asked)
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked.is_set():
        raise Interrupted
