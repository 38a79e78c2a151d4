"""What every published network has to pass beside its authors' numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import onnxruntime
import torch

from kdcli.exporters import export
from kdcli.exporters.trace import trace
from kdcli.guard.expressions import plain_condition
from kdcli.guard.operators import PURE
from kdcli.plugins import registry


def check_exports(student: str, folder: Path, *, dynamic: bool = True) -> None:
    """Export a student with random weights to ONNX; the file must give its numbers.

    At two sizes where the network allows one file for any (``dynamic``), otherwise at the only one of the file. What
    it is traced to has to be what a ``.pt2`` file may hold.
    """
    torch.manual_seed(0)
    model = registry.build("student", student).eval()
    with patch("kdcli.exporters.formats.onnx.trace", _traced):
        report = export(model, "onnx", folder / "student.onnx", size="dynamic" if dynamic else (96, 128))
    assert report.worst is not None and report.worst.relative < 1e-3, str(report.worst)
    assert onnxruntime.InferenceSession(str(report.path)).get_outputs()[0].name == "depth"
    assert len({drift.shape[-2:] for drift in report.drift}) >= (2 if dynamic else 1)


def _traced(*args: Any, **options: Any) -> torch.export.ExportedProgram:
    program = trace(*args, **options)
    check_operators(program)
    return program


def check_operators(program: torch.export.ExportedProgram) -> None:
    """What a network is traced to has to be computation that the loader of ``.pt2`` files allows."""
    targets = {node.target for node in program.graph.nodes if node.op == "call_function"}
    assert not {name_of(target) for target in targets} - PURE
    conditions = getattr(program, "_guards_code", [])
    assert all(plain_condition(condition) is not None for condition in conditions), conditions


def name_of(target: Any) -> str:
    """Return an operator's name as an archive gives it."""
    if isinstance(target, torch._ops.OpOverload):
        return f"torch.ops.{target}"
    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"torch.ops.higher_order.{target.name()}"
    return f"{target.__module__}.{target.__name__}"
