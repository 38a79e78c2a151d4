"""What a device gave for a file, brought back in an NPZ; and the images to take there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kdcli.errors import DataError
from kdcli.exporters.gate.pictures import images_at
from kdcli.exporters.inputs import DESCRIBED, Input, as_given
from kdcli.files import atomic
from kdcli.rasters.arrays import read_stacks


class Brought:
    """Images, and the maps that a device gave for them: a callable like an exported file, for these images alone."""

    def __init__(self, images: Tensor, maps: Mapping[str, Tensor]) -> None:
        """images: B x 3 x H x W in 0..1. maps: B x 1 x h x w each, by name, depth first."""
        self.images, self._maps, self.outputs = images, dict(maps), tuple(maps)

    def __call__(self, image: Tensor) -> Tensor:
        """Return the depth that was brought."""
        return self._maps["depth"]

    def all(self, image: Tensor) -> Mapping[str, Tensor]:
        """Return all that was brought."""
        return self._maps

    def each(self) -> list[Brought]:
        """Return one for each image."""
        return [Brought(self.images[i : i + 1], {name: one[i : i + 1] for name, one in self._maps.items()})
                for i in range(len(self.images))]


def read_brought(path: Path, names: Sequence[str], kind: Input) -> Brought:
    """Read an NPZ with ``image`` as the file takes it, and a map for each image under every name of ``names``.

    One image, or one map, may come without its axis of images; maps without their axis of one.

    Raises:
        DataError: an array is missing, of another form, or the images are none.
    """
    arrays = read_stacks(path, ("image", *names))
    missing = [name for name in ("image", *names) if name not in arrays]
    if missing:
        raise DataError(f"'{path}' has no array {', '.join(missing)}; write it with numpy.savez(..., image=, "
                        f"{'=, '.join(names)}=)")
    given = torch.from_numpy(np.ascontiguousarray(arrays["image"]))
    given = given[None] if given.ndim == 3 else given
    colours = 1 if kind == "float" else 3
    fits = given.ndim == 4 and given.shape[colours] == 3 and given.is_floating_point() == (kind == "float")
    if not fits or (kind == "uint8" and given.dtype != torch.uint8):
        raise DataError(f"'{path}' has an image of {_sides(given)} {given.dtype}; the file takes {DESCRIBED[kind]}")
    images = given.float() if kind == "float" else given.permute(0, 3, 1, 2).float() / 255
    if not bool(((images >= 0) & (images <= 1)).all()):
        raise DataError(f"'{path}' has an image with numbers outside of 0..1; the file takes {DESCRIBED[kind]}")
    maps = {}
    for name in names:
        one = torch.from_numpy(np.ascontiguousarray(arrays[name]))
        one = one[None] if one.ndim == 2 else one
        one = one[:, None] if one.ndim == 3 else one
        if one.ndim != 4 or one.shape[:2] != (len(images), 1) or not one.is_floating_point():
            raise DataError(f"'{path}' has '{name}' of {_sides(one)} {one.dtype}, not a map of floats for each of "
                            f"{len(images)} images")
        maps[name] = one.float()
    return Brought(images, maps)


def write_probe(path: Path, images: Tensor | None, size: tuple[int, int], kind: Input) -> None:
    """Write images for a file, as it takes them, to an NPZ: ``image``. Two synthetic ones where none are given.

    Raises:
        OSError: the folder takes no files.
    """
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, image=as_given(images_at(images, size), kind).numpy())


def _sides(array: Tensor) -> str:
    return "x".join(map(str, array.shape)) or "one number"
