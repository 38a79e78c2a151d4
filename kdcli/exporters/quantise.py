"""Eight-bit ONNX: weights per channel and activations quantised, with ranges seen on calibration images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.exporters.gate.pictures import images_for
from kdcli.exporters.trace import silence

_QUANTISED = ("Conv", "Add", "Clip", "Relu", "Resize", "MatMul", "Gemm")


class _Reader:
    """Hands the calibration images to onnxruntime, one at a time."""

    def __init__(self, images: list[Tensor]) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next feed, None at the end."""
        image = next(self._left, None)
        return None if image is None else {"image": image.numpy()}


def quantise(path: Path, images: Tensor | None, size: tuple[int, int]) -> None:
    """Replace an ONNX file by its eight-bit version (QDQ); the last convolution and what follows stay in float.

    The head turns a number into depth, often through an exponential: eight bits there would show as steps.

    Args:
        path: rewritten in place; its metadata is kept and says ``int8``.
        images: B x 3 x H x W in 0..1 to calibrate on; synthetic ones when None.
        size: height and width of the calibration.

    Raises:
        ConfigError: the network cannot be quantised.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    CalibrationDataReader.register(_Reader)
    graph = onnx.load(path).graph
    feeds = [image for batch in images_for(images, size, other_size=False, two=False) for image in batch[None]]
    if images is not None:
        feeds = [batch for one in images for batch in images_for(one[None], size, other_size=False, two=False)]
    last = max((i for i, node in enumerate(graph.node) if node.op_type == "Conv"), default=0)
    kept = [node.name for node in graph.node[last:]]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "int8.onnx")
        try:
            with silence():
                quantize_static(
                    path, made, _Reader(feeds), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    op_types_to_quantize=list(_QUANTISED), nodes_to_exclude=kept,
                )
                model = onnx.load(made)
        except Exception as error:  # an operator that cannot be quantised surfaces in many ways
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise ConfigError(f"this network cannot be quantised ({reason}); export without --int8") from error
    facts = {prop.key: prop.value for prop in onnx.load(path).metadata_props} | {"int8": "true"}
    del model.metadata_props[:]
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
