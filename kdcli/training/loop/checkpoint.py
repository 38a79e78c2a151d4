"""The state of a run in one file: enough to go on to the same last bit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.errors import WeightsError
from kdcli.files import atomic
from kdcli.training.loop.optim import Averaged
from kdcli.training.step.task import DistillTask

FORMAT = 1


def save(
    path: Path,
    *,
    variant: str,
    stage: str,
    step: int,
    task: DistillTask,
    optimizer: torch.optim.Optimizer,
    average: Averaged | None,
) -> None:
    """Write the state after ``step`` updates of a stage."""
    state: dict[str, Any] = {
        "format": FORMAT,
        "variant": variant,
        "stage": stage,
        "step": step,
        "student": task.student.state_dict(),
        "plugins": task.plugins.state_dict(),
        "plugin_states": task.states,
        "inner": task.inner_state(),
        "optimizer": optimizer.state_dict(),
        "average": None if average is None else {"state": average.state, "steps": average.steps},
    }
    with atomic(path) as temporary:
        # By way of memory: torch's own writer aborts the process when the disk is full.
        content = io.BytesIO()
        torch.save(state, content)
        temporary.write_bytes(content.getbuffer())


def read(path: Path) -> dict[str, Any]:
    """Read a state; tensors on the CPU, no code is run.

    Raises:
        WeightsError: missing, broken or of another format.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"there is no checkpoint at '{path}'; start the run anew without --resume") from None
    except Exception as error:  # torch tells of damage by UnpicklingError, RuntimeError, EOFError, struct.error ...
        raise WeightsError(
            f"checkpoint '{path}' is broken ({type(error).__name__}); delete it to start that stage anew"
        ) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise WeightsError(f"checkpoint '{path}' is not of format {FORMAT}; it was written by another version of kdcli")
    return state


def restore(
    state: dict[str, Any], task: DistillTask, optimizer: torch.optim.Optimizer, average: Averaged | None
) -> int:
    """Put a state back into its parts and return the number of updates done."""
    task.student.load_state_dict(state["student"])
    task.plugins.load_state_dict(state["plugins"])
    for name, kept in state["plugin_states"].items():
        task.states[name] = kept
    task.load_inner_state(state["inner"])
    optimizer.load_state_dict(state["optimizer"])
    if average is not None and state["average"] is not None:
        average.load(state["average"]["state"], state["average"]["steps"])
    return int(state["step"])


def student_state(student: nn.Module, average: Averaged | None) -> dict[str, torch.Tensor]:
    """Return the tensors that are the result: the averaged student's where there is one."""
    return dict(student.state_dict()) if average is None else dict(average.state)
