#!/usr/bin/env bash
# One hole in a depth map spoils three quarters of a box-filtered one.
#
# Expected: a 3 x 3 mean turns one not-a-number into nine. That is what a Gaussian, a convolution and the same mean written
#   as a kernel do.
# Happens: box filters are running sums: what has entered the sum can be taken out again, but not-a-number cannot. So it
#   stays until the end of the line: scipy's uniform_filter spoils everything to the right of it and below, OpenCV's blur
#   and boxFilter everything below. A large mark for "no depth" such as 1e20 does the same without leaving a trace: sums
#   that it passed through have lost the small numbers, and give 0 where the depth is 2.
# Seen with: scipy 1.17.1, opencv-python-headless 5.0.0.93, numpy 2.4.6, Python 3.11.
# So: replace holes by 0 first and divide by the filtered mask (two box filters), or use a kernel.
#
# Output seen (map of 60 x 80 at 2 m, one hole at row 10, column 10):
#   scipy uniform_filter, 3 x 3      3621 not-a-number
#   opencv blur, 3 x 3               153 not-a-number
#   scipy correlate, the same mean   9 not-a-number
#   opencv filter2D, the same mean   9 not-a-number
#   hole of 1e20, scipy, ten columns further: 0.0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  scipy==1.17.1 opencv-python-headless==5.0.0.93 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import cv2
import numpy as np
from scipy import ndimage

depth = np.full((60, 80), 2, np.float32)
mean = np.full((3, 3), 1 / 9, np.float32)
filters = {
    "scipy uniform_filter, 3 x 3": lambda given: ndimage.uniform_filter(given, 3),
    "opencv blur, 3 x 3": lambda given: cv2.blur(given, (3, 3)),
    "scipy correlate, the same mean": lambda given: ndimage.correlate(given, mean),
    "opencv filter2D, the same mean": lambda given: cv2.filter2D(given, -1, mean),
}
holed, marked = depth.copy(), depth.copy()
holed[10, 10], marked[10, 10] = np.nan, 1e20
counts = []
for name, apply in filters.items():
    assert np.abs(apply(depth) - 2).max() < 1e-5
    counts.append(int(np.isnan(apply(holed)).sum()))
    print(f"{name:32} {counts[-1]} not-a-number")
after = float(ndimage.uniform_filter(marked, 3)[10, 20])
print("hole of 1e20, scipy, ten columns further:", after)
assert counts == [3621, 153, 9, 9] and after == 0, "changed"
PY
