"""The parity gate: an exported file has to give the numbers of the model it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.exporters.trace import outputs_of

TOLERANCE = 1e-3
"""Largest difference relative to the largest depth that passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far an exported file is from its model on one batch of images."""

    shape: tuple[int, ...]
    """B, 3, H, W of the images."""
    absolute: float
    """Largest difference, in the unit of the output."""
    relative: float
    """The same over the output's largest value."""
    agreement: float
    """Share of pixels whose ratio is below 1.25; only telling for positive depth."""
    output: str = "depth"
    """Which output of the file was compared."""

    def __str__(self) -> str:
        batch, _, height, width = self.shape
        named = "" if self.output == "depth" else f" of {self.output}"
        return f"{batch} x {height}x{width}{named}: {self.absolute:.3g} ({self.relative:.2g} relative)"


def compare(model: nn.Module, call: Callable[[Tensor], Tensor], image: Tensor) -> list[Drift]:
    """Run both on the same images, B x 3 x H x W on the CPU; one comparison for each output, depth first.

    Raises:
        ConfigError: the file lacks an output of the model.
    """
    reference = next(iter(model.state_dict().values()), image).device
    names = outputs_of(model)
    with torch.no_grad():
        said = model(image.to(reference))
    if names == ("depth",):
        given = {"depth": call(image)}
    elif getattr(call, "outputs", ("depth",)) == names:
        given = call.all(image)  # type: ignore[attr-defined]
    else:
        raise ConfigError(f"this format writes depth alone, not {' and '.join(names[1:])}; use --format onnx or pt2")
    return [_drift(getattr(said, name).float().cpu(), given[name].float().cpu(), tuple(image.shape), name)
            for name in names]


def _drift(wanted: Tensor, given: Tensor, shape: tuple[int, ...], output: str) -> Drift:
    if given.shape != wanted.shape or not bool(torch.isfinite(given).all()):
        return Drift(shape=shape, absolute=float("inf"), relative=float("inf"), agreement=0.0, output=output)
    absolute = float((given - wanted).abs().max())
    scale = max(float(wanted.abs().max()), 1e-12)
    ratio = torch.maximum(given / wanted, wanted / given)
    return Drift(
        shape=shape, absolute=absolute, relative=absolute / scale, agreement=float((ratio < 1.25).float().mean()),
        output=output,
    )


def images_for(
    images: Tensor | None, size: tuple[int, int], *, other_size: bool, two: bool
) -> Iterable[Tensor]:
    """Yield batches to compare on: the size of the export, a batch of two, another size.

    Given images (B x 3 x H x W in 0..1, any size) are resized; without any, smooth synthetic ones are made.
    """
    base = synthetic(2, size) if images is None else images.detach().float().cpu()
    base = base if len(base) > 1 else torch.cat([base, base.flip(-1)])
    yield _to(base[:1], size)
    if two:
        yield _to(base[:2], size)
    if other_size:
        # Neither the aspect nor a multiple of 32 is kept: that is where exported resizes go wrong.
        yield _to(base[:1], (size[0] + 33, max(33, size[1] - 18)))


def synthetic(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Return smooth images with edges, count x 3 x H x W in 0..1: noise of four scales on a gradient, and a box."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    picture = torch.linspace(0.2, 0.8, height).view(1, 1, -1, 1).expand(count, 3, height, width).clone()
    for cells, weight in ((3, 0.30), (7, 0.20), (15, 0.12), (40, 0.05)):
        noise = torch.rand(count, 3, cells, cells, generator=generator) - 0.5
        picture += weight * functional.interpolate(noise, size=size, mode="bilinear", align_corners=False)
    picture[..., height // 3 : height // 2, width // 4 : width // 2] += 0.25
    return picture.clamp(0, 1)


def _to(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
