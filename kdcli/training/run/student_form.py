"""How a stage trains its student: the order of its numbers in memory, and what PyTorch's compiler makes of it.

Both are gone when the stage is done: evaluation, export and files are of the plain network, with these parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError
from kdcli.training.run.compiling import Compiled, compiled_losses, held_against, plain_losses, require_compiler
from kdcli.training.run.results import RUN
from kdcli.training.run.teacher_engine import PAYS, ROUNDS, WORTH
from kdcli.training.run.teacher_forms import ORDERS, ratios
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.engine import Engine
from kdcli.training.step.task import DistillTask
from kdcli.types import Batch

LAST, PLAIN = "channels-last", "contiguous"


@dataclass(kw_only=True)
class StudentForm:
    """How the student of a stage is trained."""

    engine: Engine | None = None
    """What PyTorch's compiler made of it."""
    losses: list[str] = field(default_factory=list)
    """Names of those that it compiles."""
    told: dict[str, Any] = field(default_factory=dict)
    """For the manifest; nothing where the stage asks for nothing."""
    notes: list[str] = field(default_factory=list)


def require_form(stage: StageConfig, device: torch.device) -> None:
    """Refuse a form that cannot be had here.

    Raises:
        ConfigError: CUDA graphs elsewhere or of several batches an update; no compiler.
    """
    if stage.train != "student" or stage.compile == "off":
        return
    told = f"compile={stage.compile} of stage '{stage.name}'"
    if stage.compile == "reduce-overhead":
        if device.type != "cuda":
            raise ConfigError(f"{told} captures CUDA graphs, and the run is on {device}; use compile=default")
        if stage.accumulate > 1:
            raise ConfigError(f"{told} captures CUDA graphs, whose gradients last for one batch, and accumulate="
                              f"{stage.accumulate}; use compile=default, or accumulate=1")
    require_compiler(told, device)


@contextmanager
def student_form(
    shop: Workshop, stage: StageConfig, task: DistillTask, first: Batch, batches: int, known: Mapping[str, Any]
) -> Iterator[StudentForm]:
    """Choose, make and check how the student of a stage is trained; inside the block the task trains it so.

    Args:
        shop: of the run.
        stage: whose student it is.
        task: the stage, wired.
        first: a real batch, on which orders are measured and what was compiled is held against the student.
        batches: that the student will be shown.
        known: ``student_form`` of the run's manifest, by ``VARIANT.STAGE``: what was chosen is not chosen again.

    Raises:
        ConfigError: the student cannot be compiled, or then gives other depth.
    """
    before = known.get(f"{shop.variant}.{stage.name}") or known.get(f"{RUN}.{stage.name}") or {}
    group = shop.group
    image = first.image if group is None else first.image[group.part(len(first.image))]
    found = StudentForm()
    task.begin_training()
    if group is None or group.first:
        order, ratio = _order(stage, task, image, batches, before, found.notes)
    else:
        order, ratio = LAST, None
    order, ratio = (order, ratio) if group is None else group.told((order, ratio))
    task.student.to(memory_format=ORDERS[order])
    try:
        if (order, stage.compile) != (LAST, "off") or ratio is not None:
            found.told = {"memory_format": order, "compile": stage.compile, "student": False, "losses": []}
            found.told |= {} if ratio is None else {"ratio": ratio}
        if stage.compile != "off":
            _compile(shop, stage, task, image, found)
        yield found
    finally:
        task.student_runs_as(None)
        plain_losses(task)
        task.student.to(memory_format=ORDERS[LAST])


def _order(
    stage: StageConfig, task: DistillTask, image: Tensor, batches: int, before: Mapping[str, Any], notes: list[str]
) -> tuple[str, float | None]:
    """Return the order, and what contiguous memory took beside channels-last where that was measured."""
    if stage.memory_format != "auto":
        return stage.memory_format, None
    if before:
        return before["memory_format"], before.get("ratio")
    if batches < WORTH:
        why = f"measuring pays from {WORTH} batches on, and it is shown {batches}"
        notes.append(f"the student's memory is {LAST}: {why}")
        return LAST, None
    ratio = round(order_ratio(task.student, image, task.amp), 3)
    order = PLAIN if ratio < PAYS else LAST
    notes.append(f"the student's memory is {order}: {PLAIN} took {ratio:.2f} of the time of {LAST}")
    return order, ratio


def order_ratio(
    student: nn.Module, image: Tensor, amp: torch.dtype | None = None, rounds: int = ROUNDS
) -> float:
    """Return how long a student goes forward and back in contiguous memory, as a share of channels-last.

    Args:
        student: of which copies run.
        image: B x 3 x H x W in 0..1, on its device.
        amp: type of autocast.
        rounds: in each of which both take their turn.
    """
    return ratios({order: ForwardAndBack(student, order, amp) for order in (LAST, PLAIN)}, image, rounds)[PLAIN]


class ForwardAndBack(nn.Module):
    """A copy of a network, forward and back."""

    def __init__(
        self, network: nn.Module, order: str, amp: torch.dtype | None = None, *, compiled: str = "off"
    ) -> None:
        """compiled: mode of ``torch.compile``, or ``off``."""
        super().__init__()
        self.network = copy.deepcopy(network).to(memory_format=ORDERS[order])
        self.amp = amp
        self._run = self.network if compiled == "off" else Compiled(self.network, compiled)

    def forward(self, image: Tensor) -> None:
        """Run it, and go back from the sum of its depth."""
        self.network.zero_grad(set_to_none=True)
        with torch.enable_grad():
            with torch.autocast(image.device.type, dtype=self.amp, enabled=self.amp is not None):
                depth = self._run(image).depth
            if depth.requires_grad:
                depth.float().sum().backward()


def _compile(shop: Workshop, stage: StageConfig, task: DistillTask, image: Tensor, found: StudentForm) -> None:
    """Let the compiler run what it can of student and losses, and say what that is."""
    why = _why_plain(stage, task, shop.group is not None)
    apart: float | None = None
    where = f"compile={stage.compile} of stage '{stage.name}'"
    if why is None:
        compiled = Compiled(task.student, stage.compile)
        apart = held_against(where, task.student, compiled, image, task.amp)
        size = (image.shape[-2], image.shape[-1])
        found.engine = Engine(
            model=task.student, network=compiled, size=size, captured=stage.compile == "reduce-overhead"
        )
        task.student_runs_as(found.engine)
    found.losses, left = compiled_losses(task)
    found.told |= {"student": why is None, "losses": found.losses, "difference": apart}
    reasons = [*([] if why is None else [f"student: {why}"]), *left]
    found.told |= {"why": reasons} if reasons else {}
    what = [*(["the student"] if why is None else []), *(f"loss '{name}'" for name in found.losses)]
    found.notes.append(f"compiled: {', '.join(what) or 'nothing'}" + (
        "" if apart is None else f"; the student's depth differs by {apart:.1g} of the largest at most"
    ))
    found.notes += [f"not compiled: {reason}" for reason in reasons]


def _why_plain(stage: StageConfig, task: DistillTask, several: bool) -> str | None:
    """Return why a student runs as it is whatever is asked for; None where it need not."""
    looking = [part.name for part in task.losses if part.loss.needs.student_taps]
    if looking:
        return f"loss '{looking[0]}' looks into it"
    if stage.transform_gradient:
        return "its images carry a gradient"
    if not any(parameter.requires_grad for parameter in task.student.parameters()):
        return "it is frozen"
    if several and stage.sync_batch_norm:
        return "its batch norms see all processes"
    if several and stage.compile == "reduce-overhead":
        return "several processes train it, and CUDA graphs are of one"
    return None
