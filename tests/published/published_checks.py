"""What every published network has to pass beside its authors' numbers."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import torch

from kdcli.exporters import export
from kdcli.plugins import registry


def check_exports(student: str, folder: Path, *, dynamic: bool = True) -> None:
    """Export a student with random weights to ONNX; the file must give its numbers.

    At two sizes where the network allows one file for any (``dynamic``), otherwise at the only one of the file.
    """
    torch.manual_seed(0)
    model = registry.build("student", student).eval()
    report = export(model, "onnx", folder / "student.onnx", size="dynamic" if dynamic else (96, 128))
    assert report.worst is not None and report.worst.relative < 1e-3, str(report.worst)
    assert onnxruntime.InferenceSession(str(report.path)).get_outputs()[0].name == "depth"
    assert len({drift.shape[-2:] for drift in report.drift}) >= (2 if dynamic else 1)
