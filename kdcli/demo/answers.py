"""What the page asks for: which models there are, and what one of them says of a picture.

An answer of depth is one block of bytes: the length of a JSON document in 4 bytes, little-endian, the document, filled
up with blanks to a multiple of 4 bytes, then H x W float32, little-endian, not-a-number where there is no depth.
"""

from __future__ import annotations

import json
import struct
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from kdcli.colour import anchors, limits_of
from kdcli.errors import DataError
from kdcli.images import focal_of, read_picture
from kdcli.networks.shown_size import Asked
from kdcli.predict import look
from kdcli.types import POSITIVE_DEPTH, DepthKind

MOST_BYTES = 32 << 20
"""Bytes of a picture that is taken."""
MOST_SIDE = 1024
"""Pixels of the longer side of a picture; a larger one is made smaller first."""


class Answers:
    """Models by name, on a device; one is asked at a time."""

    def __init__(self, models: Mapping[str, nn.Module], device: torch.device | str, size: Asked | None = "own") -> None:
        self._models, self._device, self._size = dict(models), device, size
        self._one = threading.Lock()

    def about(self) -> dict[str, Any]:
        """Return what the page has to know before there is a picture."""
        told = []
        for name, model in self._models.items():
            kind = DepthKind(model.depth_kind)  # type: ignore[arg-type]
            told.append({
                "name": name, "kind": str(kind), "unit": kind.unit, "disparity": kind.is_disparity,
                "linear": kind is DepthKind.AFFINE_DEPTH, "points": kind in POSITIVE_DEPTH,
            })  # fmt: skip
        return {"models": told, "maps": anchors(), "most_bytes": MOST_BYTES}

    def depth(self, content: bytes, number: int) -> bytes:
        """Return what a model, by its place, says of a picture file.

        Raises:
            DataError: it is no picture, or there is no such model.
        """
        if not 0 <= number < len(self._models):
            raise DataError(f"there is no model {number}; there are {len(self._models)}")
        model = list(self._models.values())[number]
        # The guards of files hold for what comes over the wire: a file of our own in a folder of our own.
        with tempfile.TemporaryDirectory(prefix="kdcli-demo-") as folder:
            path = Path(folder, "picture")
            path.write_bytes(content)
            try:
                picture, focal = read_picture(path), focal_of(path)
            except DataError as error:
                raise DataError(str(error).replace(f"'{path}'", "the file")) from None
        image = picture.image
        whole = (int(image.shape[-2]), int(image.shape[-1]))
        factor = min(1.0, MOST_SIDE / max(whole))
        if factor < 1:
            shown = (max(1, round(whole[0] * factor)), max(1, round(whole[1] * factor)))
            image = functional.interpolate(
                image[None], size=shown, mode="bilinear", align_corners=False, antialias=True
            )[0].clamp(0, 1)
        with self._one:
            began = time.perf_counter()
            said = look(model, image, self._device, self._size)
            seconds = time.perf_counter() - began
        kind = DepthKind(model.depth_kind)  # type: ignore[arg-type]
        valid = said.valid if kind not in POSITIVE_DEPTH else said.valid & (said.depth > 0)
        limits = limits_of(said.depth, valid, disparity=kind.is_disparity, linear=kind is DepthKind.AFFINE_DEPTH)
        known = said.depth[valid]
        head = json.dumps({
            "height": int(said.depth.shape[0]), "width": int(said.depth.shape[1]), "seen": list(said.seen),
            "limits": list(limits), "ends": [float(known.min()), float(known.max())] if known.numel() else None,
            "seconds": seconds, "focal": None if focal is None else focal * factor,
        }, allow_nan=False).encode("ascii")  # fmt: skip
        head += b" " * (-len(head) % 4)
        depth = said.depth.where(valid, said.depth.new_full((), torch.nan)).float().numpy().astype("<f4")
        return struct.pack("<I", len(head)) + head + depth.tobytes()
