#!/usr/bin/env bash
# Pillow resizes a 16-bit TIFF with big-endian numbers to noise.
#
# Expected: how bytes are ordered in a file is no affair of the picture once it is opened: big-endian and little-endian TIFFs of
#   the same map are read, rotated, converted and resized alike.
# Happens: a big-endian 16-bit TIFF opens as mode I;16B (ImageJ, Fiji and many instruments write them; PNG does not, though it
#   is big-endian too). numpy reads it rightly, and nearest is right. Every resize that reckons (BOX, BILINEAR,
#   LANCZOS ...) takes the high byte for the low one: 6.4 m becomes 23.9 m, the next pixel 27.0 m and then 57.0 m. No warning;
#   the picture has the right size and mode. With BOX it even looks right at times: 4692 for 4500.
# Seen with: pillow 13.0.0, tifffile 2026.3.3 (to write), numpy 2.4.6, Python 3.11, Linux x86-64 (little-endian).
# So: resize depth in numpy or torch, or Image.fromarray(np.asarray(image).astype(np.uint16)) first.
#
# Output seen (the first row of a slope, 6 x 8 to 3 x 4, in millimetres):
#   opened as             I;16                          I;16B
#   as numpy array        the same
#   NEAREST               the same
#   BILINEAR              [6428, 8214, 10214, 12000]    [23899, 27030, 56993, 53649]
#   LANCZOS               [4382, 6325, 8427, 10370]     [35656, 40861, 52911, 64661]
#   BOX                   [4500, 6500, 8500, 10500]     [4692, 6564, 8628, 10628]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
import tifffile
from PIL import Image

slope = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
for order, name in (("<", "little.tif"), (">", "big.tif")):
    tifffile.imwrite(name, slope, byteorder=order)
little, big = Image.open("little.tif"), Image.open("big.tif")
print(f"{'opened as':21} {little.mode:29} {big.mode}")
assert little.mode == "I;16" and big.mode == "I;16B", "changed"


def told(name, change):
    both = [np.asarray(change(image)).astype(int) for image in (little, big)]
    same = np.array_equal(*both)
    print(f"{name:21} " + ("the same" if same else "    ".join(f"{array[0].tolist()!s:26}" for array in both).rstrip()))
    return same


def smaller(name):
    return told(name, lambda image: image.resize((4, 3), Image.Resampling[name]))


assert told("as numpy array", lambda image: image) and smaller("NEAREST"), "changed"
assert not any([smaller("BILINEAR"), smaller("LANCZOS"), smaller("BOX")]), "changed: resized alike"
PY
