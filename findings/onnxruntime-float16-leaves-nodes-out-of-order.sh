#!/usr/bin/env bash
# onnxruntime's own conversion to half precision gives a graph whose nodes are out of order.
#
# Expected: convert_float_to_float16(model, keep_io_types=True) gives a valid ONNX model: nodes in topological order.
# Happens: the Cast that brings an input to half is appended behind the nodes that read it. onnxruntime sorts for itself and runs
#   the file; onnx.checker, and every tool that reads nodes in order, refuses it.
# Seen with: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# So: sort the nodes before the file is handed on.
#
# Output seen:
#   onnxruntime runs the converted model: yes
#   onnx.checker: Nodes in a graph must be topologically sorted
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
from onnxruntime.transformers.float16 import convert_float_to_float16

weight = numpy_helper.from_array(np.full((4, 3, 3, 3), 0.1, np.float32), "w")
graph = helper.make_graph(
    [helper.make_node("Conv", ["image", "w"], ["a"], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["a"], ["depth"])],
    "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
    [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 4, 8, 8])], [weight],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
onnx.checker.check_model(model, full_check=True)
half = convert_float_to_float16(model, keep_io_types=True)
session = onnxruntime.InferenceSession(half.SerializeToString(), providers=["CPUExecutionProvider"])
depth = session.run(None, {"image": np.ones((1, 3, 8, 8), np.float32)})[0]
assert depth.dtype == np.float32 and abs(float(depth[0, 0, 4, 4]) - 2.7) < 0.01
print("onnxruntime runs the converted model: yes")
try:
    onnx.checker.check_model(half)
except onnx.checker.ValidationError as error:
    told = str(error)
    assert "topologically sorted" in told, told
    print("onnx.checker: Nodes in a graph must be topologically sorted")
else:
    raise SystemExit("the nodes are in order now")
PY
