#!/usr/bin/env bash
# Bringing an old ONNX file to a newer opset with onnx's own converter moves its linear resizes by half a pixel.
#
# Expected: version_converter.convert_version gives a file that computes the same; Upsample of opset 9 and Resize of opset 10
#   became Resize of opset 11, whose attribute coordinate_transformation_mode can say "asymmetric", which is what they did.
# Happens: the converted node has no such attribute, which means "half_pixel": a linear upsampling by 2 moves by a quarter of
#   a pixel of its input, one by 4 by 3/8, and the next of the decoder adds its own. The file passes the checker, nothing is
#   said, and depth edges lie beside the image's. Nearest ones come out the same at whole factors, so that a look at one of
#   those shows nothing. Decoders of depth networks exported up to 2019 are made of such nodes, and quantisers and other
#   tools that want a later opset tell one to convert first.
# Seen with: onnx 1.23.2, onnxruntime 1.32.0 (to compute), numpy 2.4.6, Python 3.11.
# So: set coordinate_transformation_mode="asymmetric" in each converted node yourself, and compare numbers.
#
# Output seen (a row 1 2 3 4, enlarged by 2):
#   linear,  opset 9   [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.0]
#   linear,  opset 18  [1.0, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.0]
#   nearest, opset 9   [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
#   nearest, opset 18  [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
#   attributes of the converted node: linear mode; nearest mode
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, version_converter

row = np.array([[[[1, 2, 3, 4]]]], np.float32)
twice = numpy_helper.from_array(np.array([1, 1, 1, 2], np.float32), "scales")


def old(mode):
    graph = helper.make_graph(
        [helper.make_node("Upsample", ["x", "scales"], ["y"], mode=mode)], "decoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 8])], [twice],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)


def run(model):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": row})[0].ravel().tolist()


seen, attributes = {}, {}
for mode in ("linear", "nearest"):
    model = old(mode)
    new = version_converter.convert_version(model, 18)
    (node,) = [node for node in new.graph.node if node.op_type == "Resize"]
    attributes[mode] = sorted(one.name for one in node.attribute)
    for opset, version in ((9, model), (18, new)):
        seen[mode, opset] = run(version)
        print(f"{mode + ',':8} opset {opset:<3} {seen[mode, opset]}")
print("attributes of the converted node:", "; ".join(" ".join((mode, *names)) for mode, names in attributes.items()))
assert seen["nearest", 9] == seen["nearest", 18], "changed"
assert seen["linear", 9] == [1, 1.5, 2, 2.5, 3, 3.5, 4, 4], "changed"
assert seen["linear", 18] == [1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4], "changed: it computes the same now"
PY
