#!/usr/bin/env bash
# scikit-image makes a depth map smaller by "nearest" and blurs it first, if its numbers are floats.
#
# Expected: resize(depth, size, order=0) takes pixels over as they are, which is why one asks for it: no new depth at edges.
# Happens: anti_aliasing is None, which stands for False where the type is bool or a whole number (order=0), and for True
#   where it is float. So millimetres in uint16 stay what they are, and the same map in metres is run through a Gaussian:
#   depths on no surface at every edge, and a hole of 0 is spread over its neighbours, where no mask finds it any more.
#   rescale is alike. One division by 1000 earlier in the program changes the depth of every edge.
# Seen with: scikit-image 0.26.0, numpy 2.4.6, Python 3.11.
# So: give anti_aliasing=False.
#
# Output seen (walls at 2 m and 10 m, one hole; 8 x 8 to 4 x 4, the depths that come out):
#   uint16 millimetres             [0.0, 2.0, 10.0] m
#   float32 metres                 [0.76, 2.0, 2.85, 10.0] m
#   float32, anti_aliasing=False   [0.0, 2.0, 10.0] m
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import numpy as np
from skimage.transform import resize

metres = np.full((8, 8), 2, np.float32)
metres[:, 4:] = 10
metres[3, 1] = 0
millimetres = (metres * 1000).astype(np.uint16)


def depths(array, unit, **options):
    small = resize(array, (4, 4), order=0, preserve_range=True, **options)
    return np.unique((small.astype(float) / unit).round(2)).tolist()


seen = {
    "uint16 millimetres": depths(millimetres, 1000), "float32 metres": depths(metres, 1),
    "float32, anti_aliasing=False": depths(metres, 1, anti_aliasing=False),
}
for what, values in seen.items():
    print(f"{what:30} {values} m")
whole, floats, plain = seen.values()
assert whole == plain == [0, 2, 10], "changed: the others are not exact either"
assert 0 not in floats and any(2.5 < depth < 9.9 for depth in floats), "changed: floats are not blurred"
PY
