#!/usr/bin/env bash
# A depthwise convolution is differentiated twice one channel at a time.
#
# Expected: the gradient of a gradient costs a few times what a gradient does, for every layer; a depthwise convolution, which
#   has a C-th of the work of a dense one, stays the cheap one.
# Happens: in the second backward pass torch takes a grouped convolution apart and calls one convolution for each group, of
#   one channel each where it is depthwise, then puts their results together: C + 1 calls instead of the 2 of a dense one.
#   The networks made of depthwise convolutions to be light (MobileNet, EfficientNet, MobileOne) have thousands of channels in
#   them, so that a gradient penalty or matching of gradients makes thousands of small calls a step.
# Seen with: torch 2.14.1, numpy 2.4.6, Python 3.11, CPU (counted, not timed).
# So: reckon with it before such a training; a student of dense convolutions may be the faster one there. (The script installs the
#   whole of torch: minutes.)
#
# Output seen:
#   96 channels, groups=1   first backward 1 call, second backward 2 convolutions
#   96 channels, groups=8   first backward 1 call, second backward 9 convolutions
#   96 channels, groups=96  first backward 1 call, second backward 97 convolutions
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir torch==2.14.1 numpy==2.4.6
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - 2> /dev/null <<'PY'
from collections import Counter

import torch
from torch import nn
from torch.profiler import profile

CHANNELS = 96


def calls(run):
    with profile() as told:
        given = run()
    return given, Counter(event.name for event in told.events())


for groups in (1, 8, CHANNELS):
    torch.manual_seed(0)
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=groups)
    image = torch.rand(2, CHANNELS, 16, 16, requires_grad=True)
    loss = layer(image).tanh().sum()
    (gradient,), first = calls(lambda: torch.autograd.grad(loss, image, create_graph=True))
    _, second = calls(lambda: gradient.square().sum().backward())
    once, twice = first["aten::convolution_backward"], second["aten::convolution"]
    print(f"{CHANNELS} channels, groups={groups:<3} first backward {once} call, second backward {twice} convolutions")
    assert (once, twice) == (1, groups + 1)
PY
