"""What finished stages came to: their networks, their losses' modules and stores, kept for later stages.

Only runs of several stages keep anything. The files lie beside the checkpoint and are gone when the run is finished;
networks that are not the run's student stay as ``stages/NAME.safetensors``, students like any other.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.documents import Each
from kdcli.errors import ConfigError, WeightsError
from kdcli.training.loop import checkpoint
from kdcli.training.step.task import DistillTask

_SHAPE = {"student": Each(Any), "modules": Each(Each(Any)), "states": Each(Each(Any))}
RUN = "student"
"""The variant whose results a twin uses where it has none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What one stage came to."""

    model: nn.Module
    """Frozen, in eval mode, on the run's device."""
    modules: Mapping[str, Mapping[str, Tensor]]
    """Tensors of the losses that own modules, by the loss's name."""
    states: Mapping[str, Mapping[str, Any]]
    """What losses kept in ``ctx.state``, by name."""


@dataclass(kw_only=True)
class StageResults:
    """Results by variant and stage."""

    writes: bool = True
    """Whether this process writes the files."""
    _found: dict[tuple[str, str], StageResult] = field(default_factory=dict)

    def get(self, variant: str, stage: str) -> StageResult | None:
        """Return a stage's result: the variant's own, else the run's."""
        return self._found.get((variant, stage)) or self._found.get((RUN, stage))

    def own(self, variant: str, stage: str) -> StageResult | None:
        """Return a variant's own result."""
        return self._found.get((variant, stage))

    def keep(self, variant: str, stage: str, task: DistillTask, folder: Path) -> None:
        """Keep what a stage came to, in memory and as a file from which a run goes on."""
        names = [part.name for part in task.losses]
        modules = {name: module.state_dict() for name in names if (module := task.module_of(name)) is not None}
        stores = {store for name in names for store in task.states_of(name)}
        states = {name: kept for name, kept in task.kept_states().items() if name in stores}
        result = StageResult(
            model=frozen_copy(task.student), modules=copy.deepcopy(modules), states=copy.deepcopy(states)
        )
        document = {"student": result.model.state_dict(), "modules": modules, "states": states}
        if self.writes:
            checkpoint.write(file_of(folder, variant, stage), document)
        self._found[variant, stage] = result

    def restore(self, variant: str, stage: str, student: nn.Module, folder: Path) -> bool:
        """Read a stage's result from its file into ``student``; return whether there was one.

        Raises:
            WeightsError: the file is damaged.
        """
        path = file_of(folder, variant, stage)
        if not path.is_file():
            return False
        document = checkpoint.read(path, _SHAPE)
        try:
            student.load_state_dict(document["student"])
        except (RuntimeError, TypeError, AttributeError) as error:  # missing names, other shapes
            detail = " ".join(str(error).split())[:160]
            raise WeightsError(
                f"'{path}' does not fit stage '{stage}' ({detail}); delete it to do that stage anew"
            ) from None
        self._found[variant, stage] = StageResult(
            model=frozen_copy(student), modules=document["modules"], states=document["states"]
        )
        return True

    def carry(self, variant: str, earlier: list[str], task: DistillTask, device: torch.device) -> list[str]:
        """Give a stage's losses what those of the same name learned and kept last; return the names.

        Raises:
            ConfigError: modules of another shape.
        """
        carried = []
        for part in task.losses:
            for stage in reversed(earlier):
                result = self.get(variant, stage)
                if result is None:
                    continue
                stores = {name: kept for name, kept in result.states.items() if name in task.states_of(part.name)}
                if part.name not in result.modules and not stores:
                    continue
                module = task.module_of(part.name)
                if module is not None and part.name in result.modules:
                    _load(module, result.modules[part.name], part.name, stage, task.stage.name)
                task.load_states(copy.deepcopy(stores))
                carried.append(part.name)
                break
        task.plugins.to(device)
        return carried


def frozen_copy(model: nn.Module) -> nn.Module:
    """Return a copy that teaches: no gradient, none left over, in eval mode."""
    made = copy.deepcopy(model).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.grad = None
    return made


def check_carried(task: DistillTask, before: dict[str, tuple[str, Mapping[str, Tensor]]]) -> None:
    """Check that a stage's losses can go on with what those of the same name will have learned; note their own.

    before: stage and tensors of the losses of earlier stages that own modules, by name; added to.

    Raises:
        ConfigError: modules of another shape.
    """
    for part in task.losses:
        module = task.module_of(part.name)
        if module is not None:
            if part.name in before:
                stage, tensors = before[part.name]
                _check_shapes(module, tensors, part.name, stage, task.stage.name)
            before[part.name] = (task.stage.name, module.state_dict())


def _load(module: nn.Module, tensors: Mapping[str, Tensor], name: str, before: str, stage: str) -> None:
    _check_shapes(module, tensors, name, before, stage)
    module.load_state_dict(dict(tensors))


def _check_shapes(module: nn.Module, tensors: Mapping[str, Tensor], name: str, before: str, stage: str) -> None:
    mine = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    theirs = {key: tuple(value.shape) for key, value in tensors.items()}
    odd = next((key for key in (*mine, *theirs) if mine.get(key) != theirs.get(key)), None)
    if odd is not None:
        now, then = (f"of {shapes[odd]}" if odd in shapes else "missing" for shapes in (mine, theirs))
        raise ConfigError(
            f"loss '{name}' of stage '{stage}' cannot go on with what it learned in stage '{before}': '{odd}' is "
            f"{now}, was {then}; give it another name by as=NAME to begin anew"
        )


def file_of(folder: Path, variant: str, stage: str) -> Path:
    """Return where a stage's result is kept until the run is finished."""
    return folder / f"{variant}.{stage}.pt"


def order_file(folder: Path, stage: str) -> Path:
    """Return where the order of a stage's images is kept for the twin until the run is finished."""
    return folder / f"{stage}.order.pt"
