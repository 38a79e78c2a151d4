#!/usr/bin/env bash
# OpenCV 5 warps differently from OpenCV 4: exact for colours, and a half-pixel step with INTER_NEAREST halves a depth map.
#
# Expected: cv2.warpAffine gives what it gave for years. Depth is warped with INTER_NEAREST, since a mean of two depths lies
#   on no surface; moved by half a pixel it is the same map, shifted to one side.
# Happens: positions that lie between two pixels are now rounded to the even one instead of upwards: 0.5 to 0, 1.5 to 2,
#   2.5 to 2. So every second column is dropped and its neighbour doubled. Half-pixel steps are no rarity: they are what
#   moving a principal point from pixel corners to pixel centres, or a crop from an odd to an even size, makes.
#   (warpPerspective and remap did so before.) And INTER_LINEAR, which OpenCV 4 rounded to 1/32 of a pixel, is now exact:
#   warped training images of the two versions differ.
# Seen with: opencv-python-headless 5.0.0.93 against 4.14.0.94, numpy 2.4.6, Python 3.11, Linux x86-64.
# So: for nearest, compute the source index yourself (floor(x + 0.5)), or move the half pixel by a hair.
#
# Output seen:
#   4.14.0 nearest, 0.5 px: [1, 2, 3, 4, 5, 6, 7, 8]   linear, 0.02 px: 0.0312
#   5.0.0  nearest, 0.5 px: [1, 1, 3, 3, 5, 5, 7, 7]   linear, 0.02 px: 0.0200
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
for version in 4.14.0.94 5.0.0.93; do
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$work/$version" \
    opencv-python-headless==$version
done
cat > "$work/warp.py" <<'PY'
import sys

import cv2
import numpy as np

depth = np.tile(np.arange(1, 9, dtype=np.uint16), (4, 1))
half = np.float32([[1, 0, 0.5], [0, 1, 0]])
row = cv2.warpAffine(depth, half, (8, 4), flags=cv2.INTER_NEAREST)[1].tolist()
ramp = np.tile(np.arange(32, dtype=np.float32), (16, 1))
moved = cv2.warpAffine(ramp, np.float32([[1, 0, -0.02], [0, 1, 0]]), (32, 16), flags=cv2.INTER_LINEAR)[8, 8] - 8
print(f"{cv2.__version__:6} nearest, 0.5 px: {row}   linear, 0.02 px: {moved:.4f}")
wanted = {"4": ([1, 2, 3, 4, 5, 6, 7, 8], 0.03125), "5": ([1, 1, 3, 3, 5, 5, 7, 7], 0.02)}[cv2.__version__[0]]
sys.exit(0 if row == wanted[0] and abs(moved - wanted[1]) < 1e-4 else "changed")
PY
PYTHONPATH="$work/4.14.0.94" "$work/venv/bin/python" "$work/warp.py"
PYTHONPATH="$work/5.0.0.93" "$work/venv/bin/python" "$work/warp.py"
