#!/usr/bin/env bash
# A depth map in a tar that webdataset decodes is white from 26 cm on.
#
# Expected: KEY.depth.png holds whole numbers of 16 bits, and a decoder gives these numbers or refuses them.
# Happens: webdataset's decoders make every PNG an 8-bit picture: "pil", "rgb8" and "torchrgb" three channels, "l" one, clipped
#   to 255 (or 1.0). Millimetres from 255 on become one number, so a room is a plane. Nothing is said. The words are those
#   that its documentation gives for the photographs beside the depth, and they hold for every PNG of a sample.
# Seen with: webdataset 1.0.2, pillow 13.0.0, numpy 2.4.6, Python 3.11.
# So: leave depth out of .decode() and open its bytes yourself, or store it as .npy.
#
# Output seen (the depths of one row):
#   written             [100, 255, 256, 2000, 5000]
#   webdataset, pil     [100, 255, 255, 255, 255]
#   webdataset, rgb8    [100, 255, 255, 255, 255]
#   webdataset, l       [100, 255, 255, 255, 255] / 255
#   webdataset, bytes   [100, 255, 256, 2000, 5000]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  webdataset==1.0.2 pillow==13.0.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import io
import tarfile

import numpy as np
import webdataset
from PIL import Image

written = np.array([[100, 255, 256, 2000, 5000]], np.uint16)
stream = io.BytesIO()
Image.fromarray(written).save(stream, "PNG")
with tarfile.open("a.tar", "w") as tar:
    about = tarfile.TarInfo("0.depth.png")
    about.size = len(stream.getvalue())
    tar.addfile(about, io.BytesIO(stream.getvalue()))


def row(picture):
    array = np.asarray(picture)
    array = array[..., 0] if array.ndim == 3 else array
    return (array * 255 if array.dtype == np.float32 else array).round().astype(int)[0].tolist()


seen = {"written": written[0].tolist()}
for how in ("pil", "rgb8", "l"):
    sample = next(iter(webdataset.WebDataset("a.tar", shardshuffle=False).decode(how)))
    seen[f"webdataset, {how}"] = row(sample["depth.png"])
sample = next(iter(webdataset.WebDataset("a.tar", shardshuffle=False)))
seen["webdataset, bytes"] = row(Image.open(io.BytesIO(sample["depth.png"])))
for who, values in seen.items():
    print(f"{who:19} {values}{' / 255' if who.endswith(', l') else ''}")
spoilt = [100, 255, 255, 255, 255]
assert list(seen.values()) == [seen["written"], spoilt, spoilt, spoilt, seen["written"]], "changed"
PY
