#!/usr/bin/env bash
# MoGe's writer of depth maps cuts everything at one metre when holes are zeros.
#
# Expected: a depth map in which 0 is "no measurement", as NYU, KITTI, ScanNet and most sensors have it, comes back as it was,
#   with holes or with some number in them.
# Happens: only not-a-number is a hole to it. Of finite numbers the least is `near`, at least 1e-5, and `far` is at most 1e5
#   times that. One single 0 makes near 0.00001 m and far 1 m: 0.5 m comes back as it was, 2 m, 5 m and 9 m come back as 1 m,
#   and the hole as a measurement of 0.00001 m. There is no warning, and the PNG looks well.
# Seen with: dlr-moge 2.0.0 (PyPI; moge/utils/io.py, as in microsoft/MoGe a4adcf5), pillow 13.0.0, numpy 2.4.6,
#   opencv-python-headless 5.0.0.93, Python 3.11.
# So: write depth with np.where(depth > 0, depth, np.nan).
#
# Output seen (metres):
#   written              [0.5, 2.0, 5.0, 9.0]
#   read, holes as nan   [0.5, 2.0, 5.0, 9.0], near 0.5, far 9.0
#   read, one hole as 0  [0.5, 1.0, 1.0, 1.0], near 1e-05, far 1.0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps dlr-moge==2.0.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
from moge.utils.io import read_depth, write_depth
from PIL import Image

written = np.array([[0.5, 2.0, 5.0, 9.0], [0.5, 2.0, 5.0, 9.0]], np.float32)


def back(hole):
    depth = written.copy()
    depth[1, 0] = hole
    write_depth("depth.png", depth)
    notes = Image.open("depth.png").info
    row = [round(float(value), 3) for value in read_depth("depth.png")[0]]
    return row, float(notes["near"]), float(notes["far"])


print(f"written              {written[0].tolist()}")
good, near, far = back(np.nan)
print(f"read, holes as nan   {good}, near {near:g}, far {far:.1f}")
bad, near, far = back(0)
print(f"read, one hole as 0  {bad}, near {near:g}, far {far:.1f}")
assert good == [0.5, 2.0, 5.0, 9.0] and bad == [0.5, 1.0, 1.0, 1.0], "changed"
PY
