#!/usr/bin/env bash
# HDF5's scale-offset filter turns the holes of a depth map into its nearest measurement.
#
# Expected: scaleoffset=3 keeps three decimals (that is what it is for), and not-a-number, which renderers write where
#   there is no surface, comes back as not-a-number or is refused.
# Happens: every not-a-number comes back as the least depth of its chunk. No error, no warning, and the map has no holes
#   any more: sky becomes the closest object. (Depending on where the holes lie, HDF5 may also refuse to read what it
#   wrote.) Holes marked by 0 stay 0, and integers survive exactly.
# Seen with: h5py 3.16.0 with HDF5 2.0.0 inside the wheel, numpy 2.4.6, Python 3.11, Linux x86-64.
# So: mark holes with 0 before this filter, or use gzip or lzf, which keep every bit.
#
# Output seen:
#   h5py 3.16.0 HDF5 2.0.0
#   holes before: 640 of 3072, holes after: 0
#   stored in the holes: [1.5] least depth of the map: 1.5
#   gzip instead: holes after: 640
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import h5py
import numpy as np

depth = np.tile(np.linspace(1.5, 9.5, 64, dtype=np.float32), (48, 1))
depth[20:30] = np.nan
holes = np.isnan(depth)


def stored(**filter):
    with h5py.File("depth.h5", "w") as file:
        file.create_dataset("depth", data=depth, chunks=depth.shape, **filter)
    with h5py.File("depth.h5") as file:
        return file["depth"][()]


back, plain = stored(scaleoffset=3), stored(compression="gzip")
print("h5py", h5py.__version__, "HDF5", h5py.version.hdf5_version)
print(f"holes before: {holes.sum()} of {depth.size}, holes after: {np.isnan(back).sum()}")
print("stored in the holes:", np.unique(back[holes]), "least depth of the map:", np.nanmin(depth))
print("gzip instead: holes after:", np.isnan(plain).sum())
assert np.abs(back - depth)[~holes].max() < 6e-4, "the other numbers should keep three decimals"
assert np.array_equal(plain, depth, equal_nan=True)
assert (back[holes] == np.nanmin(depth)).all(), "changed: holes are no longer the least depth"
PY
