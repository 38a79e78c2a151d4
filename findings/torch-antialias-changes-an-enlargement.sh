#!/usr/bin/env bash
# antialias=True changes a bicubic enlargement, in which nothing is to be smoothed.
#
# Expected: antialiasing widens the kernel where a picture becomes smaller; where it becomes larger, the flag does nothing, as
#   it does for bilinear.
# Happens: with the flag torch takes another cubic kernel, a = -0.5 for -0.75. So interpolate(mode="bicubic") agrees with
#   OpenCV, with the flag it agrees with Pillow, and the two are up to 0.07 of the range apart. torchvision's resize sets the
#   flag unless told otherwise. MiDaS and Depth Anything bring photographs to their size by OpenCV's cubic; where that is
#   larger, a port to torch with the flag shows the network another picture than it was trained on.
# Seen with: torch 2.14.1, pillow 13.0.0, opencv-python-headless 5.0.0.93, numpy 2.4.6, Python 3.11.
# So: antialias=False where OpenCV's cubic enlarged. (The script installs the whole of torch: minutes.)
#
# Output seen (noise of 24 x 32 in 0..1, enlarged by 2, largest difference):
#   bilinear, the flag or not            0.0000
#   bicubic, the flag or not             0.0673
#   without the flag, OpenCV             0.0000
#   with the flag, Pillow                0.0000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  torch==2.14.1 pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - <<'PY'
import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

image = np.random.default_rng(0).random((24, 32), np.float32)


def torchs(mode, antialias):
    return interpolate(torch.from_numpy(image)[None, None], (48, 64), mode=mode, antialias=antialias)[0, 0].numpy()


opencv = cv2.resize(image, (64, 48), interpolation=cv2.INTER_CUBIC)
pillow = np.asarray(Image.fromarray(image).resize((64, 48), Image.Resampling.BICUBIC))
plain, flagged = torchs("bicubic", False), torchs("bicubic", True)
seen = {
    "bilinear, the flag or not": (torchs("bilinear", False), torchs("bilinear", True)),
    "bicubic, the flag or not": (plain, flagged),
    "without the flag, OpenCV": (plain, opencv),
    "with the flag, Pillow": (flagged, pillow),
}
apart = []
for name, (one, other) in seen.items():
    apart.append(float(np.abs(one - other).max()))
    print(f"{name:36} {apart[-1]:.4f}")
assert apart[1] > 0.05, "changed: the flag does nothing"
assert max(apart[0], *apart[2:]) < 1e-4, "changed"
PY
