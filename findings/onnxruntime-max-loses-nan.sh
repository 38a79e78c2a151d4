#!/usr/bin/env bash
# In onnxruntime a maximum forgets not-a-number, so a network that is broken in torch looks healthy once exported.
#
# Expected: not-a-number goes through: numpy.max and torch (max_pool2d, adaptive_max_pool2d, amax) keep it, so a network
#   that overflows gives not-a-number and somebody notices.
# Happens, on the CPU: GlobalMaxPool (the channel attention of many decoders) drops it nearly anywhere and gives the
#   largest number of the rest. ReduceMax and ReduceMin drop it unless it comes first. MaxPool (the stem of every
#   ResNet) drops it in most of the windows that hold it. Relu, Clip, AveragePool and Softmax keep it.
# Seen with: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11, Linux x86-64 with AVX2.
# So: look for not-a-number in torch, before the export; finite output of the exported file proves nothing.
#
# Output seen (not-a-number in the middle of a 5 x 5 map):
#   numpy max            nan
#   GlobalMaxPool        2.0, and drops it at 24 of 25 places
#   ReduceMax            2.0
#   MaxPool 3x3, step 2  3 of the 4 windows that hold it give a number
#   Relu                 nan
#   AveragePool          nan
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def run(operator, values, **attributes):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in
            (("x", values.shape), ("y", None))]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "one", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]


depth = np.linspace(1, 2, 25, dtype=np.float32).reshape(1, 1, 5, 5)
depth[0, 0, 2, 2] = np.nan
whole = float(run("GlobalMaxPool", depth).item())
reduced = float(run("ReduceMax", depth, keepdims=0).item())
pooled = run("MaxPool", depth, kernel_shape=[3, 3], strides=[2, 2])
places = 0
for place in range(depth.size):
    other = np.linspace(1, 2, 25, dtype=np.float32).reshape(1, 1, 5, 5)
    other.ravel()[place] = np.nan
    places += bool(np.isfinite(run("GlobalMaxPool", other)).all())
kept = [run("Relu", depth)[0, 0, 2, 2], run("AveragePool", depth, kernel_shape=[5, 5]).item()]
print("numpy max           ", depth.max())
print(f"GlobalMaxPool        {whole}, and drops it at {places} of {depth.size} places")
print("ReduceMax           ", reduced)
print("MaxPool 3x3, step 2 ", np.isfinite(pooled).sum(), "of the 4 windows that hold it give a number")
print("Relu                ", kept[0])
print("AveragePool         ", kept[1])
assert np.isnan(kept).all()
assert whole == reduced == 2 and np.isfinite(pooled).any() and places > 12, "changed: a maximum keeps it"
PY
