"""The state of a run in one file: enough to go on to the same last bit."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.documents import Each, misfit
from kdcli.errors import WeightsError
from kdcli.files import atomic
from kdcli.training.batches.order import Order
from kdcli.training.loop.optim import Averaged
from kdcli.training.step.task import DistillTask

FORMAT = 2
ANEW = "delete it to start that stage anew"
"""What can be done about a damaged checkpoint where there is no other."""
STATE = {
    "variant": str, "stage": str, "step": int, "student": Each(Any), "plugins": Each(Any), "plugin_states": Each(Any),
    "inner": Each(Any), "optimizer": {"state": Each(Any), "param_groups": [Each(Any)]},
    "average": ({"state": Each(Any), "steps": int}, None),
    "teacher_images?": int,
    "scaler?": Each(Any),
    "order?": ({"distances": Each(Any), "left_out": Any, "at": int, "rounds": dict}, None),
}
"""Shape of the state of a stage under way."""


def save(
    path: Path,
    *,
    variant: str,
    stage: str,
    step: int,
    task: DistillTask,
    optimizer: torch.optim.Optimizer,
    average: Averaged | None,
    order: Order | None = None,
    teacher_images: int = 0,
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Write the state after ``step`` updates of a stage."""
    state: dict[str, Any] = {
        "variant": variant,
        "stage": stage,
        "step": step,
        "student": task.student.state_dict(),
        "plugins": task.plugins.state_dict(),
        "plugin_states": task.kept_states(),
        "inner": task.inner_state(),
        "optimizer": optimizer.state_dict(),
        "average": None if average is None else {"state": average.state, "steps": average.steps},
        "order": None if order is None else order.state(),
        "teacher_images": teacher_images,
        **({} if scaler is None or not scaler.is_enabled() else {"scaler": scaler.state_dict()}),
    }
    write(path, state)


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a state; a crash leaves the one before."""
    with atomic(path) as temporary:
        # By way of memory: torch's own writer aborts the process when the disk is full.
        content = io.BytesIO()
        torch.save({"format": FORMAT, **state}, content)
        temporary.write_bytes(content.getbuffer())


def read(path: Path, shape: Any = STATE, instead: str = ANEW) -> dict[str, Any]:
    """Read a state; tensors on the CPU, no code is run. instead: what can be done about a damaged one.

    Raises:
        WeightsError: missing, broken or of another format.
    """
    try:
        _check_archive(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"there is no checkpoint at '{path}'; start the run anew without --resume") from None
    except Exception as error:  # torch tells of damage by UnpicklingError, RuntimeError, EOFError, struct.error ...
        raise WeightsError(f"checkpoint '{path}' is broken ({type(error).__name__}); {instead}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise WeightsError(f"checkpoint '{path}' is not of format {FORMAT}; it was written by another version of kdcli")
    if wrong := misfit(state, shape) or ("" if state.get("step", 0) >= 0 else "step is negative"):
        raise WeightsError(f"checkpoint '{path}' is broken: {wrong}; {instead}")
    return {**state, "file": str(path)}


def _check_archive(path: Path) -> None:
    """Check that an archive is as torch writes it and that its bytes are those that were written: torch does neither.

    Raises:
        ValueError: it is not.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("not what torch.save writes")
        if archive.testzip() is not None:
            raise ValueError("a member has changed")


def restore(
    state: dict[str, Any], task: DistillTask, optimizer: torch.optim.Optimizer, average: Averaged | None,
    order: Order | None = None, scaler: torch.amp.GradScaler | None = None,
) -> int:
    """Put a state back into its parts and return the number of updates done.

    Raises:
        WeightsError: it is of other parts than these.
    """
    try:
        done = _restore(state, task, optimizer, average, order)
        if scaler is not None and "scaler" in state:
            scaler.load_state_dict(state["scaler"])
        return done
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        why = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"checkpoint '{state.get('file', '')}' does not fit this run ({type(error).__name__}: {why}); {ANEW}"
        ) from None


def _restore(
    state: dict[str, Any], task: DistillTask, optimizer: torch.optim.Optimizer, average: Averaged | None,
    order: Order | None,
) -> int:
    task.student.load_state_dict(state["student"])
    task.plugins.load_state_dict(state["plugins"])
    task.load_states(state["plugin_states"])
    task.load_inner_state(state["inner"])
    optimizer.load_state_dict(state["optimizer"])
    if average is not None and state["average"] is not None:
        average.load(state["average"]["state"], state["average"]["steps"])
    if order is not None:
        order.load(state.get("order"))
    return int(state["step"])


def student_state(student: nn.Module, average: Averaged | None) -> dict[str, torch.Tensor]:
    """Return the tensors that are the result: the averaged student's where there is one."""
    return dict(student.state_dict()) if average is None else dict(average.state)
