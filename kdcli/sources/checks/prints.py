"""Fingerprints of images: 64 bits that stay nearly the same when a picture is made smaller, stored anew or brightened.

Bit by bit a difference hash says whether brightness rises to the right between neighbours of an 8 x 9 grid. Beside it
a thumbnail is kept, since pictures with little in them share bits by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

from kdcli.errors import KdcliError
from kdcli.images import opened
from kdcli.plugins.blame import blame, owner_of
from kdcli.sources.checks.workers import in_order

if TYPE_CHECKING:
    from kdcli.plugins.plugin import Plugin
    from kdcli.protocols import Source

SIDE = 16
"""Pixels of a thumbnail's side."""
_ROWS, _COLUMNS = 8, 9
_DRAFT = 144
_MODES = ("L", "RGB")
_SIDE_OF_GRID = 144
"""A multiple of 8, 9 and 16, so that both grids are means of whole pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prints:
    """Of the images of a source that can be read. indices: their positions. hashes: uint64. thumbs: n x 256 float32
    of mean 0 and length 1, or 0 throughout where the image is plain."""

    indices: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    thumbs: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Printer:
    source: Source
    owner: Plugin | None

    def __call__(self, index: int) -> tuple[int, NDArray[np.uint8]] | None:
        try:
            with blame(self.owner, f"item {index}"):
                grey = _grey(self.source, index)
        except KdcliError:  # what cannot be read is said elsewhere
            return None
        return hash_of(grey), (adaptive_avg_pool2d(grey[None, None], SIDE)[0, 0] * 255).byte().numpy()


def prints(source: Source, indices: Sequence[int], *, workers: int = 0, tick: Any = None) -> Prints:
    """Return the fingerprints of items; of files only as much is decoded as they take. tick: called after each."""
    made: Iterator[tuple[int, NDArray[np.uint8]] | None] = in_order(
        _Printer(source=source, owner=owner_of(source)), indices, workers=workers, what=source
    )
    kept, hashes, thumbs = [], [], []
    for index, one in zip(indices, made, strict=True):
        if one is not None:
            kept.append(index)
            hashes.append(one[0])
            thumbs.append(one[1])
        if tick is not None:
            tick()
    flat = np.array(thumbs, np.float32).reshape(len(kept), SIDE * SIDE)
    flat -= flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return Prints(
        indices=np.array(kept, np.int64), hashes=np.array(hashes, np.uint64),
        thumbs=np.divide(flat, length, out=np.zeros_like(flat), where=length > SIDE),
    )


def hash_of(grey_HW: torch.Tensor) -> int:
    """Return the 64 bits of an image of one channel."""
    cells = adaptive_avg_pool2d(grey_HW[None, None], (_ROWS, _COLUMNS))[0, 0]
    bits = (cells[:, 1:] > cells[:, :-1]).flatten().tolist()
    return sum(1 << i for i, bit in enumerate(bits) if bit)


def _grey(source: Any, index: int) -> torch.Tensor:
    """Return a small grey image, H x W in 0..1."""
    path = source.pairs[index].image if hasattr(source, "pairs") else None
    if isinstance(path, Path):
        with suppress(KdcliError), opened(path) as image:
            if image.mode in _MODES:
                image.draft("L", (_DRAFT, _DRAFT))
                small = image.convert("L").resize((_SIDE_OF_GRID, _SIDE_OF_GRID), Image.Resampling.BOX)
                return torch.from_numpy(np.array(small)).float() / 255
    return adaptive_avg_pool2d(source[index].image.mean(0)[None, None], _SIDE_OF_GRID)[0, 0]
