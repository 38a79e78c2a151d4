#!/usr/bin/env bash
# An open batch alone takes onnxruntime out of its fast layout at every resize.
#
# Expected: a resize to twice a known height and width is one and the same, whether the batch is open or not; the batch is not resized.
# Happens: on x86 convolutions run in a blocked layout (NCHWc), and a Resize by constant whole factors becomes an Upsample of that layout.
#   An exporter that leaves the batch open writes the size of the output instead, made of the batch at run time (Shape, Concat),
#   as PyTorch's does: then the Resize stays as it is, between a ReorderOutput and a ReorderInput, though its height and width are known.
# Seen with: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11, x86-64.
# So: where height and width are known, write factors (1, 1, 2, 2) for sizes; the numbers are the same to rounding.
#
# Output seen:
#   factors: Conv(nchwc) ReorderInput ReorderOutput Upsample(nchwc)
#   sizes:   Concat Conv(nchwc) ReorderInput ReorderOutput Resize Shape
#   the two maps are the same to 1e-6
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  "onnxruntime==1.32.0" "onnx==1.23.2" "numpy==2.4.6"
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

draw = np.random.default_rng(0)


def network(how):
    """Convolution, twice the size, convolution: the resize by factors, or by sizes of which only the batch is open."""
    weights = [numpy_helper.from_array(draw.normal(size=(16, 16, 3, 3)).astype(np.float32), f"w{i}") for i in (1, 2)]
    if how == "factors":
        given, inputs, nodes = [numpy_helper.from_array(np.float32([1, 1, 2, 2]), "by")], ["a", "", "by"], []
    else:
        given, inputs = [numpy_helper.from_array(np.int64([16, 32, 32]), "rest")], ["a", "", "", "by"]
        nodes = [helper.make_node("Shape", ["image"], ["batch"], start=0, end=1),
                 helper.make_node("Concat", ["batch", "rest"], ["by"], axis=0)]
    nodes += [
        helper.make_node("Conv", ["image", "w1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", inputs, ["b"], mode="linear", coordinate_transformation_mode="half_pixel"),
        helper.make_node("Conv", ["b", "w2"], ["depth"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 16, 16, 16])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["N", 16, 32, 32])], [*weights, *given],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


image = draw.normal(size=(1, 16, 16, 16)).astype(np.float32)
found, maps = {}, {}
for how in ("factors", "sizes"):
    draw = np.random.default_rng(1)  # the same weights
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = f"{how}.onnx"
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(network(how), options, providers=["CPUExecutionProvider"])
    maps[how] = session.run(None, {"image": image})[0]
    nodes = onnx.load(f"{how}.onnx").graph.node
    found[how] = sorted({n.op_type + ("(nchwc)" if "nchwc" in n.domain and "Reorder" not in n.op_type else "") for n in nodes})
print(f"factors: {' '.join(found['factors'])}")
print(f"sizes:   {' '.join(found['sizes'])}")
assert "Upsample(nchwc)" in found["factors"] and "Resize" not in found["factors"], found
assert "Resize" in found["sizes"] and "Upsample(nchwc)" not in found["sizes"], found
apart = np.abs(maps["factors"] - maps["sizes"]).max() / np.abs(maps["sizes"]).max()
print(f"the two maps are the same to {'1e-6' if apart < 1e-6 else apart}")
assert apart < 1e-6
PY
