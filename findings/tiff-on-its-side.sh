#!/usr/bin/env bash
# A 16-bit TIFF with a quarter-turn orientation tag: four readers, four answers, and Pillow's is scrambled.
#
# Expected: a reader turns the picture as the tag says, or it gives the pixels as stored.
# Happens, for an uncompressed uint16 map of 6 x 8 with orientation 6 (a quarter turn clockwise):
#   - tifffile (and imageio) give it as stored: 6 x 8;
#   - Pillow 13 gives 6 x 8 too, but with the pixels in the wrong places: it maps the file in the size that the picture will
#     have upright, and then turns it. No warning. The same file packed with deflate is turned correctly: 8 x 6. So are
#     float32 maps. Only plain files of 8 and 16 bits are scrambled;
#   - OpenCV 5 cannot read it at all: imread returns None, for packed files and other number types too (4.14 is alike).
# Seen with: pillow 13.0.0, tifffile 2026.3.3, opencv-python-headless 5.0.0.93, imagecodecs 2026.3.6, numpy 2.4.6.
# So: with Pillow, set image.filename = "" after opening, which keeps it from mapping the file; or write depth upright.
#
# Output seen:
#   plain   tifffile: as stored   pillow: neither stored nor turned   opencv: None
#   deflate tifffile: as stored   pillow: turned                      opencv: None
#   plain, Pillow not mapping the file: turned
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 tifffile==2026.3.3 imagecodecs==2026.3.6 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$work"
OPENCV_LOG_LEVEL=SILENT "$work/venv/bin/python" - <<'PY'
import cv2
import numpy as np
import tifffile
from PIL import Image

stored = np.arange(1, 49, dtype=np.uint16).reshape(6, 8) * 100
turned = np.rot90(stored, -1)


def said(array):
    if array is None:
        return "None"
    array = np.asarray(array)
    return ("as stored" if np.array_equal(array, stored) else "turned" if np.array_equal(array, turned)
            else "neither stored nor turned")


results = []
for packing in (None, "deflate"):
    name = f"{packing}.tif"
    tifffile.imwrite(name, stored, compression=packing, extratags=[(274, "H", 1, 6, True)])
    answers = said(tifffile.imread(name)), said(Image.open(name)), said(cv2.imread(name, cv2.IMREAD_UNCHANGED))
    print(f"{packing or 'plain':7} tifffile: {answers[0]:11} pillow: {answers[1]:27} opencv: {answers[2]}")
    results.append(answers)
unmapped = Image.open("None.tif")
unmapped.filename = ""
print("plain, Pillow not mapping the file:", said(unmapped))
assert results == [("as stored", "neither stored nor turned", "None"), ("as stored", "turned", "None")], "changed"
PY
