"""Whether a loss asks for more than it declares: it is tried with models and a stage that give no more than that."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kdcli.plugins.registry import describe
from kdcli.testing.loss_bench import LossBench
from kdcli.testing.own import changed
from kdcli.testing.report import Failure, Skip
from kdcli.types import Needs, Prediction

_MORE = ("probs", "aux", "branches", "std", "entropy")


def check_lean(bench: LossBench) -> None:
    """Expect terms and their gradient where models have the declared outputs and derivatives alone.

    Raises:
        Failure: the loss fails there; what it does not declare is named. Skip: it fails anywhere.
    """
    needs: Needs = bench.it.build().needs
    try:
        _try(bench, frozenset(_lacks(needs)))
        return
    except Exception as error:  # whatever it is, one lack at a time tells which
        found = error
    try:
        _try(bench, frozenset())
    except Exception as error:
        raise Skip(f"it fails where everything is given as well: {describe(error)}") from error
    for lack in _lacks(needs):
        try:
            _try(bench, frozenset({lack}))
        except Exception as error:
            raise Failure(f"fails {_WHERE[lack]} ({describe(error)}); declare it: {lack}") from error
    raise Failure(f"fails where models give no more than it declares ({describe(found)})") from found


_WHERE = {
    "needs.outputs": "where the student's prediction has no more than it declares",
    "needs.teacher_outputs": "where a teacher's prediction has no more than it declares",
    "needs.double_backward": "on a student that can be differentiated once only",
    "needs.task_map": "in a stage without a task loss",
}


def _lacks(needs: Needs) -> list[str]:
    """Return what may be missing, as the loss does not declare it."""
    declared = {"needs.double_backward": needs.double_backward, "needs.task_map": needs.task_map}
    return [lack for lack in _WHERE if not declared.get(lack)]


def _try(bench: LossBench, lacks: Collection[str]) -> None:
    loss = bench.it.build()
    student, teachers = bench.student(loss), bench.teachers(loss)
    if "needs.outputs" in lacks:
        student = changed(student, _leaving(loss.needs.outputs))
    if "needs.double_backward" in lacks:
        student = changed(student, lambda out: replace(out, depth=_once(out.depth)))
        student.register_forward_pre_hook(lambda module, inputs: (_once(inputs[0]), *inputs[1:]))
    teacher = next(iter(teachers.values()))
    if "needs.teacher_outputs" in lacks:
        teacher = changed(teacher, _leaving(loss.needs.teacher_outputs))
    ctx = bench.context(loss, student=student, teacher=teacher, task="needs.task_map" not in lacks)
    value = bench.total(loss, ctx)
    if value.requires_grad:
        torch.autograd.backward(value)


def _leaving(outputs: Collection[str]) -> Callable[[Prediction], Prediction]:
    """Return a change that takes away what is not declared; bins come with their centres."""
    gone: dict[str, Any] = {name: () if name in ("aux", "branches") else None for name in _MORE if name not in outputs}
    if "probs" in gone and "centers" not in outputs:
        gone["centers"] = None
    return lambda out: replace(out, **gone)


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _once(values: Tensor) -> Tensor:
    """Return values whose gradient cannot be differentiated again."""
    found: Tensor = _Once.apply(values)
    return found


