#!/usr/bin/env bash
# OpenVINO reads a resize with antialiasing and resizes without.
#
# Expected: Resize has an attribute antialias since opset 18 of ONNX; what a converter does not know it refuses, as this one
#   refuses coordinate_transformation_mode="half_pixel_symmetric".
# Happens: antialias=1 is dropped without a word, and so is exclude_outside=1 of a cubic resize. Where a map becomes larger
#   the linear one is the same; where it becomes smaller, single pixels are taken for means. Networks that bring the
#   photograph to their own size inside (interpolate(..., antialias=True), as torchvision's resize does) see another picture
#   than the one that they were trained on. onnxruntime does what the file says.
# Seen with: openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, packaging 26.4, Python 3.11, Linux x86-64, CPU.
# So: resize before the network, or write the resize as two matrix products.
#
# Output seen (random numbers in 0..1, largest difference to onnxruntime):
#   linear, 12x16 to 24x32, antialias  0.00
#   linear, 12x16 to 6x8               0.00
#   linear, 12x16 to 6x8, antialias    0.19
#   cubic,  12x16 to 6x8, antialias    0.31
#   half_pixel_symmetric is refused
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 packaging==26.4
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

image = np.random.default_rng(0).random((1, 3, 12, 16), np.float32)


def write(size, **attributes):
    wanted = numpy_helper.from_array(np.array([1, 3, *size], np.int64), "sizes")
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **attributes)], "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, *size])], [wanted],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "resize.onnx")


def apart():
    session = onnxruntime.InferenceSession("resize.onnx", providers=["CPUExecutionProvider"])
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    here = openvino.compile_model("resize.onnx", "CPU", exact)(image)[0]
    return float(np.abs(session.run(None, {"x": image})[0] - here).max())


seen = {}
for mode, size, antialias in (("linear", (24, 32), 1), ("linear", (6, 8), 0), ("linear", (6, 8), 1), ("cubic", (6, 8), 1)):
    write(size, mode=mode, antialias=antialias)
    name = f"{mode + ',':7} 12x16 to {size[0]}x{size[1]}{', antialias' * antialias}"
    seen[name] = apart()
    print(f"{name:34} {seen[name]:.2f}")
larger, plain, linear, cubic = seen.values()
write((6, 8), mode="linear", coordinate_transformation_mode="half_pixel_symmetric")
try:
    apart()
    refused = False
except RuntimeError:
    refused = True
print("half_pixel_symmetric is", "refused" if refused else "taken")
assert larger < 1e-5 and plain < 1e-5 and refused, "changed"
assert linear > 0.1 and cubic > 0.1, "changed: antialias is heeded, or refused"
PY
