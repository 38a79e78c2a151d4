#!/usr/bin/env bash
# Reading one depth map out of an HDF5 file unpacks twenty-five.
#
# Expected: create_dataset("depth", data=maps, compression="gzip") of N x H x W is stored map by map, or near that, so that
#   maps[i] costs one map.
# Happens: what is compressed is cut in chunks, and h5py chooses their shape by halving all axes in turn, the first too:
#   (25, 30, 80) for 400 maps of 480 x 640 in uint16. One map lies in 128 chunks that hold 25 maps; each is unpacked whole,
#   and the next map finds them gone. The same shape is chosen by whatever needs chunks without naming them (shuffle,
#   fletcher32, maxshape). With more maps it gets worse: of 1449 in float32, the size of NYU Depth v2, 46.
# Seen with: h5py 3.16.0 with HDF5 2.0.0 inside the wheel, numpy 2.4.6, Python 3.11, Linux x86-64.
# So: chunks=(1, H, W).
#
# Output seen (400 maps of 480 x 640, gzip; a map has 614400 bytes):
#   h5py's own chunks (25, 30, 80): 15360000 bytes unpacked for a map, 25 maps
#   chunks=(1, 480, 640): 614400 bytes unpacked for a map, 1 map
#   reading a map takes more than 5 times as long: True
#   chunks of 1449 maps in float32: (46, 30, 40)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import time

import h5py
import numpy as np

COUNT, HEIGHT, WIDTH = 400, 480, 640
slope = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.uint16) * 3


def stored(chunks):
    """Return the shape of the chunks, the bytes of those that hold a piece of one map, and the seconds of four maps."""
    with h5py.File("depth.h5", "w") as file:
        depth = file.create_dataset("depth", (COUNT, HEIGHT, WIDTH), "u2", chunks=chunks, compression="gzip")
        for first in range(0, COUNT, 50):
            depth[first : first + 50] = slope
        shape = depth.chunks
    with h5py.File("depth.h5") as file:
        depth = file["depth"]
        start = time.perf_counter()
        for index in (7, 311, 94, 222):
            assert np.array_equal(depth[index], slope)
        seconds = time.perf_counter() - start
    pieces = -(-HEIGHT // shape[1]) * -(-WIDTH // shape[2])
    return shape, pieces * int(np.prod(shape)) * slope.itemsize, seconds


own, dear, slow = stored(None)
whole, plain, fast = stored((1, HEIGHT, WIDTH))
print(f"h5py's own chunks {own}: {dear} bytes unpacked for a map, {dear // slope.nbytes} maps")
print(f"chunks={whole}: {plain} bytes unpacked for a map, {plain // slope.nbytes} map")
print("reading a map takes more than 5 times as long:", slow > 5 * fast)
with h5py.File("nyu.h5", "w") as file:
    nyu = file.create_dataset("depth", (1449, HEIGHT, WIDTH), "f4", compression="gzip").chunks
print("chunks of 1449 maps in float32:", nyu)
assert own == (25, 30, 80) and dear == 25 * slope.nbytes and plain == slope.nbytes and nyu == (46, 30, 40), "changed"
assert slow > 5 * fast, "changed: no longer dear"
PY
