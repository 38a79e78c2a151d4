#!/usr/bin/env bash
# A mask that tifffile writes is read inverted by Pillow and OpenCV.
#
# Expected: a bool array written to TIFF is the same bool array in every reader.
# Happens: tifffile stores bool as one bit and calls it "white is zero" (photometric 0), and reads its own bits as they are.
#   Pillow and OpenCV do what the tag says and turn every pixel: valid becomes invalid. imageio and scikit-image side with
#   tifffile, since they use it, unless imageio is told plugin="pillow". The other way round all agree: Pillow writes bool
#   as "black is zero". Masks of uint8 are safe everywhere.
# Seen with: tifffile 2026.3.3, pillow 13.0.0, opencv-python-headless 5.0.0.93, imageio 2.38.1, numpy 2.4.6, Python 3.11.
# So: write masks as uint8, or give photometric="minisblack".
#
# Output seen (first row of the mask; 1 is valid):
#   written                  [1, 1, 0, 0]
#   tifffile 2026.3.3        [1, 1, 0, 0]
#   imageio 2.38.1           [1, 1, 0, 0]
#   imageio, plugin pillow   [0, 0, 1, 1]
#   pillow 13.0.0            [0, 0, 1, 1]
#   opencv 5.0.0             [0, 0, 1, 1]
#   pillow, minisblack       [1, 1, 0, 0]
#   pillow, uint8            [1, 1, 0, 0]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 pillow==13.0.0 opencv-python-headless==5.0.0.93 imageio==2.38.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import cv2
import imageio
import imageio.v3 as iio
import numpy as np
import PIL
import tifffile
from PIL import Image

mask = np.zeros((6, 4), bool)
mask[:, :2] = True


def row(array):
    return (np.asarray(array)[0] > 0).astype(int).tolist()


tifffile.imwrite("mask.tif", mask)
tifffile.imwrite("black.tif", mask, photometric="minisblack")
tifffile.imwrite("bytes.tif", mask.astype(np.uint8))
seen = {
    "written": row(mask),
    f"tifffile {tifffile.__version__}": row(tifffile.imread("mask.tif")),
    f"imageio {imageio.__version__}": row(iio.imread("mask.tif")),
    "imageio, plugin pillow": row(iio.imread("mask.tif", plugin="pillow")),
    f"pillow {PIL.__version__}": row(Image.open("mask.tif")),
    f"opencv {cv2.__version__}": row(cv2.imread("mask.tif", cv2.IMREAD_UNCHANGED)),
    "pillow, minisblack": row(Image.open("black.tif")),
    "pillow, uint8": row(Image.open("bytes.tif")),
}
for who, first in seen.items():
    print(f"{who:24} {first}")
assert list(seen.values()) == [[1, 1, 0, 0]] * 3 + [[0, 0, 1, 1]] * 3 + [[1, 1, 0, 0]] * 2, "changed"
PY
