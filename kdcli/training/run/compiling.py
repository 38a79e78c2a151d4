"""PyTorch's compiler at work on a student and its losses: made, tried once, and taken away again.

The network keeps its parameters, its mode and the names in its state: what is compiled stands beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, out_of_memory
from kdcli.exporters.trace import silence
from kdcli.losses.base import DepthLoss
from kdcli.training.seeds import seeded
from kdcli.training.step.task import DistillTask
from kdcli.types import Prediction

BACKEND = "inductor"
FARTHEST = 1e-2
"""Largest difference of a compiled student's depth to its own in float32, over the largest: rounding that norms of a
batch make larger stays below, another network does not."""
_FAILED = (RuntimeError, TypeError, AttributeError, ValueError, AssertionError, OSError)


class Compiled(nn.Module):
    """A student as PyTorch's compiler runs it. No parameter is its own; hooks around the student are left out."""

    def __init__(self, student: nn.Module, mode: str) -> None:
        """mode: of ``torch.compile``."""
        super().__init__()
        # A function and no module: else the student would be a part of this.
        self._run = torch.compile(student.forward, backend=BACKEND, mode=mode)

    def forward(self, image: Tensor) -> Prediction:
        """Return what the student says of images B x 3 x H x W."""
        said: Prediction = self._run(image)
        return said


def require_compiler(told: str, device: torch.device) -> None:
    """Try the compiler on a few numbers; told: what asked for it.

    Raises:
        ConfigError: there is none, or it fails.
    """
    try:
        with silence():
            torch.compile(_probe, backend=BACKEND)(torch.ones(4, device=device))
    except _FAILED as error:
        raise ConfigError(f"{told}: PyTorch's compiler does not work here ({_line(error)}); install a C++ compiler "
                          "such as g++, or use compile=off") from error


def _probe(numbers: Tensor) -> Tensor:
    return numbers * 2 + 1


def held_against(
    where: str, student: nn.Module, compiled: nn.Module, image: Tensor, amp: torch.dtype | None
) -> float | None:
    """Compile a student, in the mode that it is in, and hold its depth against its own.

    Neither gradients nor running statistics are left behind.

    Args:
        where: told in errors.
        student: as it trains.
        compiled: the same, compiled.
        image: B x 3 x H x W in 0..1, on its device.
        amp: type of autocast.

    Returns:
        The largest difference over the largest depth; None where the student's depth is drawn at random.

    Raises:
        ConfigError: it cannot be compiled, or is further off than ``FARTHEST`` in float32.
    """
    kept = [(buffer, buffer.clone()) for buffer in student.buffers()]
    learned = [parameter for parameter in student.parameters() if parameter.requires_grad]

    def said(network: nn.Module, seed: int) -> Tensor:
        with seeded(seed), torch.autocast(image.device.type, dtype=amp, enabled=amp is not None):
            depth: Tensor = network(image).depth
        return depth

    try:
        with silence():
            depth = said(compiled, 0)
            torch.autograd.grad(depth.float().sum(), learned, allow_unused=True)  # compiled when it first goes back
        depth = depth.detach().float().clone()
        with torch.no_grad():
            own, again = (said(student, seed).float() for seed in (0, 1))
    except _FAILED as error:
        if out_of_memory(error):
            raise
        raise ConfigError(f"{where}: the student cannot be compiled ({_line(error)}); use compile=off") from error
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)
    if not torch.equal(own, again):
        return None
    apart = float((depth - own).abs().max() / own.abs().max().clamp_min(1e-12))
    if amp is None and not apart <= FARTHEST:
        raise ConfigError(f"{where}: the compiled student's depth is {apart:.2g} away, {FARTHEST:g} is allowed; use "
                          "compile=off")
    return apart


def compiled_losses(task: DistillTask) -> tuple[list[str], list[str]]:
    """Compile the losses of a task that are formulas on depth.

    Returns:
        Their names, and why the others run as they are.
    """
    done, left = [], []
    for part in task.losses:
        loss = part.loss
        if isinstance(loss, DepthLoss) and type(loss).terms is DepthLoss.terms:
            # In the place of the class's method, for this one loss; compiled when it first runs.
            vars(loss)["value"] = torch.compile(loss.value, backend=BACKEND)
            done.append(part.name)
        else:
            left.append(f"loss '{part.name}': it is no formula on depth alone")
    return done, left


def plain_losses(task: DistillTask) -> None:
    """Let the losses of a task run as they are again."""
    for part in task.losses:
        if isinstance(part.loss, DepthLoss):
            vars(part.loss).pop("value", None)


def _line(error: BaseException) -> str:
    """Return the first line of an error that says something."""
    told = (line.strip() for line in str(error).splitlines())
    return next((line for line in told if line), type(error).__name__)[:160]
