"""Eight-bit programs of PyTorch for XNNPACK: prepared, shown the calibration images, converted (torchao's PT2E)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kdcli.exporters.formats.packages import needed
from kdcli.exporters.inputs import Input, as_given
from kdcli.exporters.quantising.floating import Floating

_EXTRA = "executorch"


def eight_bits(network: nn.Module, example: Tensor, images: Tensor, kind: Input, floating: Floating) -> tuple[Any, int]:
    """Return a network as an exported program in eight bits, and how many convolutions stay in float.

    Weights have a scale for each output channel, inner maps one for all.

    Args:
        network: in eval mode, on the CPU, from a tensor to a tensor.
        example: an input of the size of the export.
        images: B x 3 x H x W in 0..1 to calibrate on. kind: what the network takes.
        floating: convolutions that stay in float.

    Raises:
        ConfigError: the numbers of ``floating`` do not fit the network, or a package is missing.
    """
    tools = needed("torchao.quantization.pt2e.quantize_pt2e", _EXTRA)
    xnnpack = needed("executorch.backends.xnnpack.quantizer.xnnpack_quantizer", _EXTRA)
    module: Any = torch.export.export(network, (example,)).module()
    kept, count = _kept(module, floating)
    quantiser = xnnpack.XNNPACKQuantizer()
    quantiser.set_global(xnnpack.get_symmetric_quantization_config(is_per_channel=True))
    quantiser.set_filter_function(lambda node: node.name not in kept)
    prepared = tools.prepare_pt2e(module, quantiser)
    for image in torch.split(images, 1):
        prepared(as_given(image, kind))
    return torch.export.export(tools.convert_pt2e(prepared), (example,)), count


def _kept(module: Any, floating: Floating) -> tuple[set[str], int]:
    """Return the names of what stays in float, and how many of it are convolutions."""
    nodes = list(module.graph.nodes)
    places = {node: at for at, node in enumerate(nodes)}

    def sources(at: int) -> list[int]:
        return [places[one] for one in nodes[at].all_input_nodes if one.op == "call_function"]

    convolves = [node.target is torch.ops.aten.conv2d.default for node in nodes]
    kept, count = floating.among(convolves, sources)
    return {nodes[at].name for at in kept}, count
