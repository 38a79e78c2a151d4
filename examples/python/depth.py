"""Depth of photographs with an ONNX file that kdcli exported. Needs onnxruntime, numpy and Pillow, nothing else.

    python depth.py small.onnx photo.jpg --out depth

writes, for every photograph, NAME.colour.png (near is warm, percentiles 2 to 98 of disparity) and its depth at the
photograph's size: NAME.depth.png, 16 bits, 0 = none, where depth is in metres, else NAME.depth.npy, float32.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SPECTRAL = "5e4fa2 3288bd 66c2a5 abdda4 e6f598 ffffbf fee08b fdae61 f46d43 d53e4f 9e0142"
"""From far to near."""


class DepthFile:
    """A file with what it says of itself: kind and unit of its numbers, their range, the size it was made for."""

    def __init__(self, path: str, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Further providers, such as CUDAExecutionProvider, go in front where their package is installed.
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        about = self.session.get_modelmeta().custom_metadata_map
        if "depth_kind" not in about:
            raise SystemExit(f"'{path}' does not say what its numbers mean; give a file that `kdcli export` wrote")
        self.kind, self.unit = about["depth_kind"], about["unit"]
        self.range: list[float] = json.loads(about["depth_range"])
        self.made_for = json.loads(about.get("made_for", "{}"))
        (taken,) = self.session.get_inputs()
        self.bytes = taken.type == "tensor(uint8)"  # B x H x W x 3, else B x 3 x H x W of floats in 0..1
        height, width = taken.shape[1:3] if self.bytes else taken.shape[2:4]
        self.fixed = (height, width) if isinstance(height, int) else None

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """Return the size at which it is shown a picture: its own, or the one it was made for, or the picture's."""
        if self.fixed is not None:
            return self.fixed
        own = self.made_for.get("eval_size")
        if own is None:
            return height, width
        factors = own[0] / height, own[1] / width
        fit = self.made_for.get("fit", "stretch")
        if fit == "stretch":
            return own[0], own[1]
        factor = min(factors) if fit == "within" else max(factors)
        return max(round(height * factor / 32), 1) * 32, max(round(width * factor / 32), 1) * 32

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return the map of a picture, H x W x 3 uint8 in RGB: H x W float32."""
        height, width = picture.shape[:2]
        shown = self.size_for(height, width)
        colours = [resized(picture[..., i] / np.float32(255), shown) for i in range(3)]
        image = np.stack(colours, axis=-1 if self.bytes else 0)
        image = np.rint(image * 255).astype(np.uint8) if self.bytes else image
        (depth,) = self.session.run(["depth"], {"image": image[None]})
        return resized(depth[0, 0], (height, width))


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return numbers H x W at another height and width: averaged where they become fewer, interpolated else."""
    if values.shape == size:
        return values
    picture = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))


def coloured(depth: np.ndarray, kind: str) -> np.ndarray:
    """Return a picture of a map, H x W x 3 uint8: near is warm, what is no number is grey."""
    known = np.isfinite(depth)
    if kind in ("metric", "scale_invariant"):
        known &= depth > 0
    near = np.zeros_like(depth)
    if kind == "affine_disparity":
        near[known] = depth[known]
    elif kind == "affine_depth":
        near[known] = -depth[known]
    else:
        near[known] = 1 / depth[known]
    if known.any():
        low, high = np.percentile(near[known], [2, 98])
        near = np.clip((near - low) / max(high - low, 1e-12), 0, 1)
    table = np.array([list(bytes.fromhex(code)) for code in SPECTRAL.split()], np.float32)
    place = near * (len(table) - 1)
    below = np.minimum(place.astype(int), len(table) - 2)
    share = (place - below)[..., None]
    picture = table[below] * (1 - share) + table[below + 1] * share
    picture[~known] = 128
    return np.rint(picture).astype(np.uint8)


def write_depth(depth: np.ndarray, model: DepthFile, base: Path) -> str:
    """Write a map and return what its numbers are, in words."""
    furthest = model.range[1]
    if model.kind != "metric" or not furthest <= 255:
        np.save(f"{base}.depth.npy", depth)
        return f"float32, {model.kind}, {'metres' if model.unit == 'm' else 'no unit: not to be read as a distance'}"
    steps = 1000 if furthest <= 65 else 256  # to the metre: whole millimetres reach 65 m
    known = np.isfinite(depth) & (depth > 0)
    whole = np.clip(np.rint(np.where(known, depth, 0) * steps), 0, 65535)
    Image.fromarray(whole.astype(np.uint16)).save(f"{base}.depth.png")
    return "16 bits, millimetres" if steps == 1000 else f"16 bits, 1/{steps} m"


def main() -> None:
    """Write depth and colours of every photograph."""
    parser = argparse.ArgumentParser(description="depth of photographs with an ONNX file that kdcli exported")
    parser.add_argument("model")
    parser.add_argument("photographs", nargs="+")
    parser.add_argument("--out", default="depth", help="folder to write to (depth)")
    parser.add_argument("--threads", type=int, default=0, help="of onnxruntime; 0: as many as it likes")
    asked = parser.parse_args()
    model, out = DepthFile(asked.model, asked.threads), Path(asked.out)
    out.mkdir(parents=True, exist_ok=True)
    for name in asked.photographs:
        with Image.open(name) as file:
            picture = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
        depth, base = model(picture), out / Path(name).stem
        Image.fromarray(coloured(depth, model.kind)).save(f"{base}.colour.png")
        told = write_depth(depth, model, base)
        print(f"{name}: {depth.min():.3g} to {depth.max():.3g} {model.unit}".rstrip() + f" ({told})")


if __name__ == "__main__":
    main()
