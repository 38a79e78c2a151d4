"""What an exported file takes and gives, looked at before and after it runs: anybody can have written it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdcli.errors import ConfigError, WeightsError, out_of_memory
from kdcli.exporters.inputs import Input


class RunFile(ABC):
    """An exported file that its own runtime runs: images B x 3 x H x W in 0..1 to maps.

    ``outputs``: the names of what it gives, depth first. ``metadata``: as it was written.
    """

    path: Path
    outputs: tuple[str, ...] = ("depth",)
    metadata: Mapping[str, str]

    @abstractmethod
    def run(self, image: Tensor) -> Sequence[Any]:
        """Return the outputs in their order, as the runtime gives them; it may raise whatever that raises."""

    def __call__(self, image: Tensor) -> Tensor:
        """Return depth B x 1 x h x w on the image's device.

        Raises:
            ConfigError, WeightsError: as ``maps_of``.
        """
        return self.all(image)["depth"]

    def all(self, image: Tensor) -> Mapping[str, Tensor]:
        """Return every output by name, on the image's device.

        Raises:
            ConfigError, WeightsError: as ``maps_of``.
        """
        return maps_of(self.path, image, self.outputs, lambda: self.run(image))

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once on images B x 3 x H x W in 0..1 that it takes, to measure how long that takes.

        What an application does once is done before: images are in the form that the file takes. What comes out stays
        with the runtime.
        """
        return lambda: self.run(image)


def fixed_sides(shape: Sequence[Any], path: Path, kind: Input = "float") -> tuple[int | None, tuple[int, int] | None]:
    """Return the batch and the height and width that a file fixes, None where it leaves them open.

    shape: of its input as the file declares it. kind: what it takes.

    Raises:
        WeightsError: what it takes is no batch of images with three colours.
    """
    sides = [side if isinstance(side, int) else None for side in shape]
    if len(sides) == 4:
        batch, colours, height, width = sides if kind == "float" else (sides[0], sides[3], sides[1], sides[2])
        sound = all(side is None or side > 0 for side in sides) and colours in (None, 3)
        if sound and (height is None) == (width is None):
            return batch, None if height is None or width is None else (height, width)
    shown = "x".join("?" if side is None else str(side) for side in sides) or "one number"
    raise WeightsError(f"'{path}' takes {shown}, not a batch of images with three colours; export it again")


def maps_of(
    path: Path, image: Tensor, names: Sequence[str], run: Callable[[], Sequence[Any]]
) -> Mapping[str, Tensor]:
    """Run a file on images B x 3 x H x W and return its maps B x 1 x h x w float32 by name, on the images' device.

    Raises:
        ConfigError: it does not take these images. WeightsError: what it gives are no such maps.
    """
    try:
        given = [torch.as_tensor(one) for one in run()]
    except Exception as error:  # each runtime has a class of error for each way of failing
        if out_of_memory(error):
            raise
        many = "1 image" if len(image) == 1 else f"{len(image)} images"
        size, reason = "x".join(map(str, image.shape[-2:])), " ".join(str(error).split())[-160:]
        raise ConfigError(
            f"'{path}' does not take {many} of {size} ({reason}); export it again with --size {size}"
        ) from error
    if len(given) != len(names):
        raise WeightsError(f"'{path}' gives {len(given)} outputs, not {', '.join(names)}; export it again")
    for name, one in zip(names, given, strict=True):
        if one.ndim != 4 or one.shape[:2] != (len(image), 1) or not one.numel() or not one.is_floating_point():
            shown = "x".join(map(str, one.shape)) or "one number"
            raise WeightsError(f"'{path}' gives '{name}' of {shown}, not a map for each image; export it again")
    return {name: one.to(image.device, torch.float32) for name, one in zip(names, given, strict=True)}
