"""A program as plain data: steps in order, each with its operator, what it takes and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Constant = Tensor | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Value:
    """What a step gives, or the program takes, as the file declares it."""

    name: str
    shape: tuple[int, ...]
    kind: str
    """``fp32``, ``fp16``, ``int32``, ``bool`` and so on."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator on values that are known by then."""

    operator: str
    takes: Mapping[str, str | tuple[str, ...]]
    """Names of values and constants by the operator's parameters."""
    gives: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """What a file computes."""

    takes: tuple[Value, ...]
    gives: tuple[Value, ...]
    steps: tuple[Step, ...]
    constants: Mapping[str, Constant]
    """Numbers that are stored in half are in float32 here, with the same values."""


def program_of(function: Any) -> Program:
    """Return the program of a function that coremltools has read.

    Raises:
        ValueError: a size in it is left open, or a constant is of no known kind.
    """
    known: dict[int, str] = {}
    constants: dict[str, Constant] = {}

    def name_of(var: Any) -> str:
        if id(var) not in known:
            known[id(var)] = f"{var.name}#{len(known)}" if var.name in known.values() else var.name
            if var.op is not None and var.op.op_type == "const":
                constants[known[id(var)]] = _plain(var.val)
        return known[id(var)]

    def value(var: Any) -> Value:
        sides = tuple(var.shape)
        if not all(isinstance(side, int | np.integer) for side in sides):
            raise ValueError(f"the size of {var.name} is left open")
        return Value(name_of(var), tuple(int(side) for side in sides), var.dtype.__name__)

    steps, takes = [], tuple(value(var) for var in function.inputs.values())
    for op in function.operations:
        if op.op_type == "const":
            name_of(op.outputs[0])
            continue
        given = {key: tuple(map(name_of, one)) if isinstance(one, list | tuple) else name_of(one)
                 for key, one in op.inputs.items() if one is not None}
        steps.append(Step(op.op_type, given, tuple(value(var) for var in op.outputs)))
    return Program(takes, tuple(value(var) for var in function.outputs), tuple(steps), constants)


def _plain(value: Any) -> Constant:
    if isinstance(value, str | bool | int | float):
        return value
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return float(array) if array.ndim == 0 else torch.from_numpy(array.astype(np.float32))
    if array.dtype.kind in "iu":
        return int(array) if array.ndim == 0 else torch.from_numpy(array.astype(np.int64))
    if array.dtype.kind == "b":
        return bool(array) if array.ndim == 0 else torch.from_numpy(array.copy())
    raise ValueError(f"a constant is of the kind {array.dtype}")
