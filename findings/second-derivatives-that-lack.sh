#!/usr/bin/env bash
# Of the activations of small networks, torch can differentiate Hardswish twice but not Hardsigmoid.
#
# Expected: what MobileNetV3 is made of behaves alike: Hardswish(x) is x * Hardsigmoid(x), both are straight lines with two
#   corners, and ReLU, ReLU6 and Hardtanh, whose second derivative is 0 as well, are fine.
# Happens: a loss that needs the gradient of a gradient (gradient penalty, meta-learning, attribution by Hessians) fails in
#   the backward pass with "derivative for aten::hardsigmoid_backward is not implemented". So every network with the usual
#   squeeze-and-excite of MobileNetV3 or GhostNet does, however little of it is Hardsigmoid. Written as relu6(x + 3) / 6 it
#   works. The same for attention: scaled_dot_product_attention on the CPU picks a kernel without a second derivative,
#   without being asked; under sdpa_kernel(SDPBackend.MATH) it has one.
# Seen with: torch 2.14.1, numpy 2.4.6, Python 3.11, CPU.
# So: exchange them before such a training. (The script installs the whole of torch: minutes.)
#
# Output seen:
#   Hardsigmoid        derivative for aten::hardsigmoid_backward is not implemented
#   Hardswish          ok
#   relu6(x + 3) / 6   ok
#   attention          derivative for aten::_scaled_dot_product_flash_attention_for_cpu_backward is not implemented
#   attention, MATH    ok
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir torch==2.14.1 numpy==2.4.6
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - <<'PY'
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel


def twice(function):
    torch.manual_seed(0)
    feature = (torch.rand(2, 4, 8, 8) * 8 - 4).requires_grad_()
    (first,) = torch.autograd.grad(function(feature).square().sum(), feature, create_graph=True)
    try:
        torch.autograd.grad(first.square().sum(), feature)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return "ok"


def attention(feature):
    return functional.scaled_dot_product_attention(feature, feature, feature)


def plain_attention(feature):
    with sdpa_kernel(SDPBackend.MATH):
        return attention(feature)


seen = {
    "Hardsigmoid": twice(functional.hardsigmoid), "Hardswish": twice(functional.hardswish),
    "relu6(x + 3) / 6": twice(lambda feature: functional.relu6(feature + 3) / 6),
    "attention": twice(attention), "attention, MATH": twice(plain_attention),
}
for name, said in seen.items():
    print(f"{name:18} {said}")
assert [said == "ok" for said in seen.values()] == [False, True, True, False, True], "changed"
assert all("not implemented" in said for said in seen.values() if said != "ok")
PY
