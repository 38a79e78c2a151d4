#!/usr/bin/env bash
# A 12-bit depth map that pypng writes is sixteen times as deep for everybody else.
#
# Expected: bitdepth=12 says that the numbers need 12 bits (many depth sensors give no more); 2000 millimetres are written
#   as 2000, and every reader of 16-bit PNG gives 2000 back.
# Happens: PNG knows 8 and 16 bits only, so pypng stretches the numbers to the whole 16 bits (times 65535 / 4095) and notes
#   "12 significant bits" in an sBIT chunk. Pillow and OpenCV ignore that chunk: 2000 is read as 32007. pypng itself undoes
#   it, but only in asDirect(): its read() gives 32007 too. The file is right by the letter of the PNG specification.
# Seen with: pypng 0.20220715.0, pillow 13.0.0, opencv-python-headless 5.0.0.93, numpy 2.4.6, Python 3.11.
# So: write depth with bitdepth=16 always.
#
# Output seen:
#   written:                [1000, 2000, 4000]
#   pillow 13.0.0:          [16004, 32007, 64015]
#   opencv 5.0.0:           [16004, 32007, 64015]
#   pypng read():           [16004, 32007, 64015]
#   pypng asDirect():       [1000, 2000, 4000]
#   bitdepth=16 and pillow: [1000, 2000, 4000]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  pypng==0.20220715.0 pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import cv2
import numpy as np
import PIL
import png
from PIL import Image

millimetres = [1000, 2000, 4000]


def write(bits):
    with open("depth.png", "wb") as stream:
        png.Writer(3, 1, greyscale=True, bitdepth=bits).write(stream, [millimetres])


write(12)
pillow = np.asarray(Image.open("depth.png"))[0].tolist()
opencv = cv2.imread("depth.png", cv2.IMREAD_UNCHANGED)[0].tolist()
plain = list(next(iter(png.Reader("depth.png").read()[2])))
direct = list(next(iter(png.Reader("depth.png").asDirect()[2])))
write(16)
sixteen = np.asarray(Image.open("depth.png"))[0].tolist()
for who, numbers in {
    "written": millimetres, f"pillow {PIL.__version__}": pillow, f"opencv {cv2.__version__}": opencv,
    "pypng read()": plain, "pypng asDirect()": direct, "bitdepth=16 and pillow": sixteen,
}.items():
    print(f"{who + ':':23} {numbers}")
assert direct == sixteen == millimetres
assert pillow == opencv == plain == [16004, 32007, 64015], "changed: the stretched numbers are no longer seen"
PY
