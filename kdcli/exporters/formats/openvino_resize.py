"""Resizes that OpenVINO reads and does otherwise.

It drops two attributes of ONNX's Resize without a word (2026.4.1; ``findings/openvino-drops-antialias.sh``): of a map
that becomes smaller with antialiasing it takes single pixels, and a cubic kernel is another at the rim. The gate would
refuse the file as well, but could not say why.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from kdcli.errors import ConfigError
from kdcli.exporters.formats.onnx_resize import sides_of
from kdcli.exporters.trace import called


def refuse_what_is_dropped(model: nn.Module, path: Path) -> None:
    """Refuse a network whose ONNX file has a resize that OpenVINO would do otherwise.

    Raises:
        ConfigError: it has one that makes a map smaller with antialiasing, or may for some image, or a cubic one.
    """
    import onnx

    proto = onnx.load(path, load_external_data=False)
    sides = sides_of(onnx.shape_inference.infer_shapes(proto).graph)
    for node in proto.graph.node:
        if node.op_type != "Resize":
            continue
        says = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if not says.get("antialias") and not says.get("exclude_outside"):
            continue
        given, made = sides.get(node.input[0]), sides.get(node.output[0])
        larger = given is not None and made is not None and all(b >= a for a, b in zip(given, made, strict=True))
        if says.get("mode") == b"cubic" or (says.get("antialias") and not larger):
            raise ConfigError(
                f"{called(model)} cannot be written for OpenVINO: it resizes with antialias=True, which OpenVINO "
                "drops; resize without it, or try --format onnx"
            )
