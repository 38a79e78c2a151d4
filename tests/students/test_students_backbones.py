"""Light backbones of timm are students from end to end: they learn, and their file gives their numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdcli.exporters import export
from kdcli.plugins import registry

BACKBONES = ("mobilenetv4_conv_small", "lcnet_100", "efficientvit_b0", "mobileone_s0", "tinynet_e")
"""Of the table in docs/bench.md: convolutions alone, attention, branches that fold."""


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_light_backbone_learns_and_passes_the_gate(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = registry.build("student", f"timm:{backbone}")
    image, goal = torch.rand(2, 3, 64, 96), torch.full((2, 1, 32, 48), 5.0)
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    losses = []
    for _ in range(4):
        loss = (student(image).depth.log() - goal.log()).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    report = export(student.eval(), None, tmp_path / "student.onnx", size=(64, 96))
    assert report.worst is not None and report.worst.relative < 1e-4
