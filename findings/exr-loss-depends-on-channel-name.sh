#!/usr/bin/env bash
# Whether OpenEXR's DWA compression damages a depth map depends on the name of its channel.
#
# Expected: a compression is lossy or it is not; DWAA and DWAB are known as lossy, so a float32 depth map loses a little
#   under any name, or under none.
# Happens: a channel called Z, V, depth or anything unknown is kept to the last bit. The same numbers in a channel called Y,
#   R, G or B, alone or behind a layer's name (Depth.R), are packed as a colour for the eye: up to 10 cm wrong here, at
#   depths of 0.5 to 10 m. OpenCV and Blender call a single channel Y or V, and many scripts put depth into R.
# Seen with: OpenEXR 3.5.3 (PyPI wheel), numpy 2.4.6, Python 3.11, Linux x86-64.
# So: call depth Z, or write ZIP, which is exact whatever the name.
#
# Output seen (largest difference in metres):
#   DWAA Z        0.0000
#   DWAA V        0.0000
#   DWAA depth    0.0000
#   DWAA Y        0.0968
#   DWAA R        0.0968
#   DWAA Depth.R  0.0968
#   ZIP  R        0.0000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check OpenEXR==3.5.3 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
import OpenEXR

depth = np.random.default_rng(0).uniform(0.5, 10, (48, 64)).astype(np.float32)


def loss(compression, name):
    header = {"compression": getattr(OpenEXR, f"{compression}_COMPRESSION"), "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {name: depth}) as file:
        file.write("depth.exr")
    with OpenEXR.File("depth.exr", separate_channels=True) as file:
        (channel,) = file.channels().values()
        worst = float(np.abs(channel.pixels - depth).max())
    print(f"{compression:4} {name:8} {worst:.4f}")
    return worst


kept = [loss("DWAA", name) for name in ("Z", "V", "depth")]
damaged = [loss("DWAA", name) for name in ("Y", "R", "Depth.R")]
zipped = loss("ZIP", "R")
assert max(*kept, zipped) == 0, "changed: a channel that was exact is not"
assert min(damaged) > 0.05, "changed: colour channels are exact too"
PY
