"""What runs the teachers of a stage: chosen as it begins, held against them once, and written down.

A choice by measurement is made once. A run that goes on, and the twin of a run, do as its manifest says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError, KdcliError
from kdcli.training.run.results import RUN
from kdcli.training.run.teacher_forms import TOLERANCE, Form, difference, ratios
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.engine import Engine
from kdcli.training.step.task import DistillTask
from kdcli.types import Batch

ROUNDS = 5
"""Turns of each form in a measurement."""
WORTH = 1000
"""Batches that a teacher is shown at least where measuring and writing it anew is to save more than it takes."""
TRIED = (
    Form(layout="contiguous"), Form(folded=True), Form(folded=True, layout="contiguous"), Form(engine="onnx"),
)
"""What ``auto`` measures beside the teacher as it is. A compiler is not among them: it takes minutes for little."""
PAYS = 0.97
"""Share of the teacher's time below which another form is taken."""


@dataclass(kw_only=True)
class TeacherEngines:
    """What runs the teachers of a stage."""

    engines: dict[str, Engine] = field(default_factory=dict)
    """By the teacher's name; the others run as they are."""
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """For the manifest, by the teacher's name."""
    notes: list[str] = field(default_factory=list)

    def networks(self, teachers: Sequence[nn.Module]) -> list[nn.Module]:
        """Return what runs in the place of some teachers."""
        known = {id(teacher) for teacher in teachers}
        return [engine.network for engine in self.engines.values() if id(engine.model) in known]


def require_engine(stage: StageConfig, device: torch.device) -> None:
    """Refuse an engine that cannot run here.

    Raises:
        ConfigError: the run is not on the CPU.
    """
    if stage.teacher_engine == "onnx" and device.type != "cpu":
        raise ConfigError(f"teacher_engine=onnx of stage '{stage.name}' runs on the CPU, and the run on {device}; use "
                          "eager or compile")


def teacher_engines(
    shop: Workshop, stage: StageConfig, task: DistillTask, first: Batch, batches: int, known: Mapping[str, Any]
) -> TeacherEngines:
    """Choose, make and check what runs the teachers of a stage.

    Args:
        shop: of the run.
        stage: whose teachers they are.
        task: the stage, wired.
        first: a real batch, on which forms are measured and held against the teachers.
        batches: that the teachers will be shown.
        known: ``teacher_engine`` of the run's manifest, by ``VARIANT.STAGE``.

    Raises:
        ConfigError: an engine that was asked for cannot run a teacher, or gives other depth.
    """
    found = TeacherEngines()
    if stage.teacher_engine == "eager":
        return found
    before = known.get(f"{shop.variant}.{stage.name}") or known.get(f"{RUN}.{stage.name}") or {}
    group = shop.group
    image = first.image if group is None else first.image[group.part(len(first.image))]
    for name, teacher in shop.teachers(stage).items():
        if hasattr(teacher, "from_batch"):
            continue  # it answers from the data
        why = _why_eager(shop, stage, task, name, teacher, batches)
        if why is None and name in before:
            chosen = Chosen(Form.of(before[name]), dict(before[name].get("ratios", {})))
        elif why is not None:
            chosen = Chosen(Form(), why=why)
        else:
            chosen = _chosen(stage, name, teacher, image) if group is None or group.first else Chosen(Form())
            chosen = chosen if group is None else group.told(chosen)
        apart = 0.0
        if chosen.form != Form():
            network, apart = _checked(stage, name, teacher, chosen.form, image)
            found.engines[name] = Engine(
                model=teacher, network=network, size=(image.shape[-2], image.shape[-1])
            )
        found.told[name] = {**chosen.form.document(), "difference": apart, **chosen.document()}
        told = f"; its depth differs by {apart:.1g} of the largest at most" if chosen.form != Form() else ""
        found.notes.append(f"teacher '{name}' runs {_as(chosen)}{told}")
    return found


@dataclass(frozen=True, slots=True)
class Chosen:
    """A form, how long forms took beside the teacher as it is, and why none was chosen."""

    form: Form
    ratios: dict[str, float] = field(default_factory=dict)
    why: str | None = None

    def document(self) -> dict[str, Any]:
        """Return what a manifest says beside the form."""
        return ({"ratios": self.ratios} if self.ratios else {}) | ({} if self.why is None else {"why": self.why})


def _as(chosen: Chosen) -> str:
    if chosen.why is not None:
        return f"eager: {chosen.why}"
    took = chosen.ratios.get(str(chosen.form))
    if took is None:
        return f"as {chosen.form}"
    if chosen.form == Form():
        return "eager: nothing that was tried takes less time"
    return f"as {chosen.form}, in {took:.2f} of its time"


def _why_eager(
    shop: Workshop, stage: StageConfig, task: DistillTask, name: str, teacher: nn.Module, batches: int
) -> str | None:
    """Return why a teacher runs as it is whatever is asked for; None where it need not."""
    if task.is_cached(name):
        return "its depth is kept, and it is asked once"
    looking = [part.name for part in task.losses if part.sees(name) and part.name in task.asking()]
    if looking:
        return f"loss '{looking[0]}' looks into it"
    if stage.transform == "joint":
        return "the transformation network looks into it"
    if any(getattr(part, "outside_work", False) for part in teacher.modules()):
        return "it is run by another library than PyTorch"
    amp = task.amp
    if amp is not None and stage.teacher_engine != "compile":
        return f"the stage computes in {str(amp).removeprefix('torch.')}, which no other form does"
    if stage.teacher_engine == "auto":
        if shop.device.type != "cpu":
            return "what pays is known for the CPU alone"
        if batches < WORTH:
            return f"measuring pays from {WORTH} batches on, and it is shown {batches}"
    return None


def _chosen(stage: StageConfig, name: str, teacher: nn.Module, image: Tensor) -> Chosen:
    """Return the form that was asked for, or the one that pays."""
    if stage.teacher_engine in ("compile", "onnx"):
        return Chosen(Form(engine=stage.teacher_engine))
    forms = {Form(): teacher}
    for form in TRIED:
        try:
            forms[form] = _checked(stage, name, teacher, form, image)[0]
        except KdcliError:
            continue  # it is one less to choose from
    took = ratios(forms, image, ROUNDS)
    best = min(took, key=lambda form: took[form])
    told = {str(form): round(ratio, 3) for form, ratio in took.items()}
    return Chosen(best if took[best] < PAYS else Form(), told)


def _checked(
    stage: StageConfig, name: str, teacher: nn.Module, form: Form, image: Tensor
) -> tuple[nn.Module, float]:
    """Return a teacher in a form, and how far its depth is from the teacher's own.

    Raises:
        ConfigError: it cannot be had, or is further than it may be.
    """
    where = f"teacher_engine={stage.teacher_engine} of stage '{stage.name}' for teacher '{name}'"
    try:
        network = form.made(teacher, image)
        with torch.no_grad():
            if form.engine == "onnx" and teacher(image).valid is not None:
                raise ConfigError("a file does not say where its depth is valid")
        apart = difference(teacher, network, image)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}; use eager") from error
    if not apart <= TOLERANCE:
        raise ConfigError(f"{where}: as {form} its depth is {apart:.2g} away, {TOLERANCE:g} is allowed; use eager")
    return network, apart
