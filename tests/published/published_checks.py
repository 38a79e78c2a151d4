"""What every published network has to pass beside its authors' numbers."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import torch

from kdcli import registry
from kdcli.exporters import export


def check_exports(student: str, folder: Path, *, dynamic: bool = True) -> None:
    """Export a student with random weights to ONNX; the file must give its numbers at two sizes.

    One file that takes any size where the network allows it (``dynamic``), otherwise one file for each size.
    """
    torch.manual_seed(0)
    model = registry.build("student", student).eval()
    asked = ["dynamic"] if dynamic else [(96, 128), (128, 192)]
    seen = set()
    for size in asked:
        report = export(model, "onnx", folder / "student.onnx", size=size)  # type: ignore[arg-type]
        seen |= {drift.shape[-2:] for drift in report.drift}
        assert report.worst is not None and report.worst.relative < 1e-3, str(report.worst)
        assert onnxruntime.InferenceSession(str(report.path)).get_outputs()[0].name == "depth"
    assert len(seen) >= 2, seen
