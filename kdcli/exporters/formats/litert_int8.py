"""Eight-bit LiteRT: ranges seen on calibration images, and no number stored twice (ai-edge-quantizer).

Its own default averages the ends of the ranges over the images, which cuts the largest numbers off: five times the
error of ranges that hold all that was seen (0.10).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kdcli.exporters.formats.packages import needed
from kdcli.exporters.inputs import Input, as_given
from kdcli.exporters.quantising.floating import Floating

_EXTRA = "litert"
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_QUANTISED = (*_CONVOLUTIONS, "ADD", "RESIZE_BILINEAR", "PAD", "AVERAGE_POOL_2D", "MAX_POOL_2D")


def eight_bits(content: bytes, images: Tensor, kind: Input) -> Callable[[Floating], tuple[bytes, int]]:
    """Return what makes the eight-bit version of a LiteRT file, with some convolutions in float, and tells how many.

    Args:
        content: of the file in float32.
        images: B x 3 x H x W in 0..1 to calibrate on, one of which the file takes at a time. kind: what it takes.

    Raises:
        ConfigError: a package is missing; on the call, where numbers of ``Floating`` do not fit the file.
    """
    quantizer = needed("ai_edge_quantizer.quantizer", _EXTRA)
    types = needed("ai_edge_quantizer.qtyping", _EXTRA)
    flat = needed("ai_edge_quantizer.utils.tfl_flatbuffer_utils", _EXTRA)
    model = flat.read_model(content)
    names = _name_shortly(model)
    content = _packed(model)
    operators = model.subgraphs[0].operators
    codes = [model.operatorCodes[one.opcodeIndex].builtinCode for one in operators]
    kinds = [getattr(flat.TFL_OP_CODE_TO_NAME.get(code), "value", "") for code in codes]
    convolves = [name in _CONVOLUTIONS for name in kinds]
    made_by = {side: at for at, one in enumerate(operators) for side in one.outputs}

    def sources(at: int) -> list[int]:
        return [made_by[side] for side in operators[at].inputs if side in made_by]

    def tool() -> Any:
        made = quantizer.Quantizer(content)
        for name in _QUANTISED:
            made.add_static_config(".*", types.TFLOperationName(name), 8, 8)
        return made

    ranges = _ranges(content, tool().get_quantization_recipe(), images, kind)

    def make(floating: Floating) -> tuple[bytes, int]:
        kept, count = floating.among(convolves, sources)
        asked = tool()
        for at in sorted(kept):
            asked.update_quantization_recipe(f"^{names[at]};$", types.TFLOperationName.ALL_SUPPORTED,
                                             algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE)
        made = asked.quantize(copy.deepcopy(ranges), enable_progress_report=False).quantized_model
        return _packed(flat.read_model(bytes(made))), count

    return make


def _ranges(content: bytes, recipe: Any, images: Tensor, kind: Input) -> dict[str, Any]:
    """Return the least and the greatest number of each tensor over the images, by name."""
    calibrator = needed("ai_edge_quantizer.calibrator", _EXTRA)
    managers = needed("ai_edge_quantizer.recipe_manager", _EXTRA)
    widest = needed("ai_edge_quantizer.utils.qsv_utils", _EXTRA).min_max_update
    interpreter = needed("ai_edge_litert.interpreter", _EXTRA)
    ((signature, sides),) = interpreter.Interpreter(model_content=content).get_signature_list().items()
    manager = managers.RecipeManager()
    manager.load_quantization_recipe(recipe)
    watch = calibrator.Calibrator(content, torch.get_num_threads(), qsv_update_func=widest)
    feeds = [{sides["inputs"][0]: as_given(image, kind).numpy()} for image in torch.split(images, 1)]
    watch.calibrate({signature: feeds}, manager)
    return dict(watch.get_model_qsvs())


def _name_shortly(model: Any) -> list[str]:
    """Give the tensors of a model short names, and return that of each operator's first output.

    The converter's own tell each tensor's way through the classes of the network, in all a tenth of a file of bytes.
    """
    (graph,) = model.subgraphs
    for at, tensor in enumerate(graph.tensors):
        tensor.name = f"t{at}".encode()
    return [f"t{one.outputs[0]}" for one in graph.operators]


def _packed(model: Any) -> bytes:
    """Return a model as a file in which vectors that are alike are stored once: zeros for each channel, above all."""
    builder: Any = needed("flatbuffers", _EXTRA).Builder
    written: dict[tuple[str, bytes], int] = {}

    class Sharing(builder):  # type: ignore[misc]
        def CreateNumpyVector(self, vector: Any) -> int:
            key = vector.dtype.str, vector.tobytes()
            if key not in written:
                written[key] = super().CreateNumpyVector(vector)
            return written[key]

    made = Sharing(1024)
    made.Finish(model.Pack(made), file_identifier=b"TFL3")
    return bytes(made.Output())
