"""Branches that become one convolution are one in the file, whatever its format."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from export_formats import FORMATS, there
from torch import nn

from kdcli.exporters import export
from kdcli.networks.deployed import deployed
from kdcli.plugins import registry

SLOW = pytest.mark.slow(share=0.06)


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return registry.build("student", f"timm:{name}").eval()  # type: ignore[no-any-return]


def convolutions(model: nn.Module) -> int:
    return sum(isinstance(module, nn.Conv2d) for module in model.modules())


@pytest.mark.parametrize("name", [
    pytest.param("mobileone_s0", marks=pytest.mark.slow(share=0.5)), pytest.param("repvit_m0_9", marks=SLOW),
    pytest.param("fastvit_t8", marks=SLOW),
])  # fmt: skip
def test_the_onnx_file_has_the_convolutions_of_the_folded_network(name: str, tmp_path: Path) -> None:
    model = network(name)
    report = export(model, "onnx", tmp_path / "n.onnx", size=(64, 96), verify=False)
    found = sum(node.op_type == "Conv" for node in onnx.load(report.path).graph.node)
    assert found == convolutions(deployed(model)) < convolutions(model)


@pytest.mark.parametrize("form", [pytest.param(form, marks=SLOW) for form in FORMATS])
def test_every_format_holds_the_folded_network_alone(form: str, tmp_path: Path) -> None:
    there(form)
    model = network("mobileone_s0")
    report = export(model, form, tmp_path / FORMATS[form][0], size=(64, 96))
    whole, folded = (4 * sum(one.numel() for one in net.parameters()) for net in (model, deployed(model)))
    assert folded < 0.5 * whole
    assert 0.95 * folded < report.bytes < 0.75 * whole
    assert report.drift and not any(one.flat for one in report.drift)
