#!/usr/bin/env bash
# OpenCV divides a PFM disparity map by a number that everybody else leaves alone.
#
# Expected: the number in the third line of a PFM says by its sign how bytes are ordered; its size means nothing agreed, and
#   readers leave the pixels as they are. Middlebury's stereo sets of 2014 have -0.003922 there.
# Happens: OpenCV divides every pixel by it, so that these disparities are 255 times as large and depth is 255 times too
#   near. Files with -1, which is what OpenCV writes, are the same everywhere: writing and reading back does not show it.
#   Pillow gives pixels as stored. netpbmfile does too, but with the last row first (a PFM begins at the bottom), which it
#   leaves to you. Nobody says anything.
# Seen with: opencv-python-headless 5.0.0.93, pillow 13.0.0, netpbmfile 2026.1.29, numpy 2.4.6, Python 3.11, Linux x86-64.
# So: read PFM with Pillow's Image.open, and try a file whose third line is not -1.
#
# Output seen (the first row):
#   stored                    [100.5, 150.25, 200.0]
#   opencv, scale -1          [100.5, 150.25, 200.0]
#   opencv, scale -0.003922   [25624.681640625, 38309.53515625, 50994.390625]
#   pillow, scale -0.003922   [100.5, 150.25, 200.0]
#   netpbmfile                [300.5, 350.25, 400.0], which is the last row
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 pillow==13.0.0 netpbmfile==2026.1.29 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import cv2
import netpbmfile
import numpy as np
from PIL import Image

disparity = np.array([[100.5, 150.25, 200], [300.5, 350.25, 400]], np.float32)


def write(scale):
    with open("disp.pfm", "wb") as stream:
        stream.write(f"Pf\n3 2\n{scale}\n".encode() + disparity[::-1].astype("<f4").tobytes())


write("-1")
one = cv2.imread("disp.pfm", cv2.IMREAD_UNCHANGED)
write("-0.003922")
opencv = cv2.imread("disp.pfm", cv2.IMREAD_UNCHANGED)
pillow = np.asarray(Image.open("disp.pfm"))
netpbm = netpbmfile.imread("disp.pfm")
for who, array in {
    "stored": disparity, "opencv, scale -1": one, "opencv, scale -0.003922": opencv, "pillow, scale -0.003922": pillow,
    "netpbmfile": netpbm,
}.items():
    print(f"{who:25} {array[0].tolist()}{', which is the last row' if array is netpbm else ''}")
assert np.array_equal(pillow, disparity) and np.array_equal(one, disparity), "changed"
assert np.allclose(opencv, disparity / 0.003922), "changed: OpenCV leaves the numbers alone"
assert np.array_equal(netpbm, disparity[::-1]), "changed: netpbmfile turns the rows"
PY
