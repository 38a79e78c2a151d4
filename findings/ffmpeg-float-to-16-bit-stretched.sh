#!/usr/bin/env bash
# FFmpeg spreads a float depth map when it makes 16 bits of it: the nearest 6 % become 0, the farthest 8 % one number.
#
# Expected: grey floats (grayf32, which is what PFM is decoded to) of 0..1 become 0..65535, and what was 16 bits and was made
#   floats becomes 16 bits again as it was.
# Happens: 16 bits to floats is a division by 65535, exact to the last number. Floats to 16 bits takes the same numbers for
#   television levels and stretches 1/16..235/256 to the whole range: 0.05 becomes 0, which is a hole; 0.2 becomes 0.16, 0.9
#   becomes 0.98; from 0.92 on all is 65535. To say on both sides that the range is full changes nothing. So does an encoder:
#   float frames given to a lossless ffv1 stream of gray16le come back stretched. No error, no warning.
# Seen with: av (PyAV) 18.1.0 with its own FFmpeg (libswscale 9.5), numpy 2.4.6, Python 3.11, Linux x86-64.
# So: make whole numbers in numpy, and give FFmpeg gray16le frames, which it keeps.
#
# Output seen (of 65535):
#   numbers                  [0, 3277, 13107, 26870, 39321, 58982, 62000]
#   gray16le to grayf32le    [0, 3277, 13107, 26870, 39321, 58982, 62000] / 65535
#   and back to gray16le     [0, 0, 10533, 26621, 41176, 64158, 65535]
#   both called full range   [0, 0, 10533, 26621, 41176, 64158, 65535]
#   float frame into ffv1    [0, 0, 10533, 26621, 41176, 64158, 65535]
#   gray16le into ffv1       [0, 3277, 13107, 26870, 39321, 58982, 62000]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import av
import numpy as np
from av.video.reformatter import ColorRange

numbers = np.array([0, 3277, 13107, 26870, 39321, 58982, 62000] + [32768] * 57, np.uint16)
depth = np.tile(numbers, (48, 1))


def row(frame, times=1):
    return (frame.to_ndarray()[0, :7].astype(float) * times).round().astype(int).tolist()


def encoded(frame):
    with av.open("depth.mkv", "w") as file:
        stream = file.add_stream("ffv1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray16le"
        frame.pts = 0
        file.mux(stream.encode(frame) + stream.encode(None))
    with av.open("depth.mkv") as file:
        return next(file.decode(video=0))


whole = av.VideoFrame.from_ndarray(depth, format="gray16le")
floats = whole.reformat(format="grayf32le")
made = av.VideoFrame.from_ndarray((depth / np.float32(65535)).astype(np.float32), format="grayf32le")
full = {"src_color_range": ColorRange.JPEG, "dst_color_range": ColorRange.JPEG}
seen = {
    "numbers": numbers[:7].tolist(),
    "gray16le to grayf32le": row(floats, 65535),
    "and back to gray16le": row(floats.reformat(format="gray16le")),
    "both called full range": row(floats.reformat(format="gray16le", **full)),
    "float frame into ffv1": row(encoded(made)),
    "gray16le into ffv1": row(encoded(whole)),
}
for what, values in seen.items():
    print(f"{what:24} {values}{' / 65535' * (what == 'gray16le to grayf32le')}")
given, there, *back, kept = seen.values()
assert there == given == kept, "changed: what was exact is not"
assert back == [[0, 0, 10533, 26621, 41176, 64158, 65535]] * 3, "changed"
PY
