"""A program followed step by step on an image."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kdcli.exporters.mil.operators import OPERATORS
from kdcli.exporters.mil.program import Program, Value


def unknown(program: Program) -> tuple[str, ...]:
    """Return the operators of a program that are not known here, or have parameters that are not; sorted."""
    found = set()
    for step in program.steps:
        function = OPERATORS.get(step.operator)
        if function is None:
            found.add(step.operator)
        else:
            own = inspect.signature(function).parameters
            found |= {f"{step.operator}({key})" for key in step.takes if key not in own}
    return tuple(sorted(found))


@torch.no_grad()
def follow(program: Program, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a program gives, by name, in float32.

    Within an operator numbers are float32; what an operator gives is rounded to half precision where the program says
    that it is kept in that, so that what overflows there overflows here.

    Args:
        given: what the program takes, by name.

    Raises:
        ValueError: an operator gives another shape than the program declares, or is used in a way that its definition
            leaves open.
    """
    values: dict[str, Any] = {**program.constants}
    values |= {one.name: _declared(given[one.name], one, "the input") for one in program.takes}
    last = _last_uses(program)
    for place, step in enumerate(program.steps):
        found = {key: tuple(values[one] for one in name) if isinstance(name, tuple) else values[name]
                 for key, name in step.takes.items()}
        made = OPERATORS[step.operator](**found)
        made = made if isinstance(made, tuple) else (made,)
        if len(made) != len(step.gives):
            raise ValueError(f"{step.operator} gives {len(made)} values, the program declares {len(step.gives)}")
        for value, one in zip(step.gives, made, strict=True):
            values[value.name] = _declared(one, value, step.operator)
        for name in last.get(place, ()):
            del values[name]
    return {one.name: values[one.name] for one in program.gives}


def _declared(made: Tensor, value: Value, maker: str) -> Tensor:
    if tuple(made.shape) != value.shape:
        raise ValueError(f"{maker} gives '{value.name}' of {_sides(made.shape)}, declared is {_sides(value.shape)}")
    return made.half().float() if value.kind == "fp16" else made


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _last_uses(program: Program) -> dict[int, list[str]]:
    """Return, by step, what nothing needs after it: maps of large images are many and large."""
    kept = {one.name for one in program.gives} | set(program.constants)
    last: dict[str, int] = {}
    for place, step in enumerate(program.steps):
        names = [one for name in step.takes.values() for one in (name if isinstance(name, tuple) else (name,))]
        for name in (*names, *(value.name for value in step.gives)):
            last[name] = place
    by_step: dict[int, list[str]] = {}
    for name, place in last.items():
        if name not in kept:
            by_step.setdefault(place, []).append(name)
    return by_step
