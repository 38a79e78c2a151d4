"""Effects of a camera, drawn at random for each image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.protocols import API_VERSION

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class Sensor:
    """Blur, exposure, vignetting and noise, in the order in which a camera has them, each from none to its key.

    blur: standard deviation in pixels. exposure: e, a factor from 1 / (1 + e) to 1 + e. vignette: how much darker the
    corners are. noise: standard deviation, of values in 0..1.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(
        self, *, blur: float = 0.6, exposure: float = 0.3, vignette: float = 0.3, noise: float = 0.02
    ) -> None:
        """Take the ranges.

        Raises:
            SpecError: a negative one.
        """
        for name, value in (("blur", blur), ("exposure", exposure), ("vignette", vignette), ("noise", noise)):
            if value < 0:
                raise SpecError(f"sensor: {name}={value:g} must not be negative; 0 leaves it out")
        self.blur, self.exposure, self.vignette, self.noise = blur, exposure, vignette, noise

    @torch.no_grad()
    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with changed images; labels stay, since no pixel moves."""
        image = batch.image
        device, shape = image.device, (len(batch), 1, 1, 1)

        def drawn() -> Tensor:
            return torch.rand(shape, generator=ctx.generator, device=device, dtype=image.dtype)

        image = _blurred(image, self.blur * drawn()) if self.blur else image
        if self.exposure:
            image = image * (1 + self.exposure) ** (2 * drawn() - 1)
        if self.vignette:
            rows, columns = (torch.linspace(-1, 1, side, device=device, dtype=image.dtype) for side in image.shape[-2:])
            image = image * (1 - self.vignette * drawn() * (rows[:, None] ** 2 + columns**2) / 2)
        if self.noise:
            grain = torch.randn(image.shape, generator=ctx.generator, device=device, dtype=image.dtype)
            image = image + self.noise * drawn() * grain
        return replace(batch, image=image.clamp(0, 1), taught=None)


def _blurred(image: Tensor, sigma: Tensor) -> Tensor:
    """Return images B x C x H x W blurred by Gaussians of deviation sigma, B x 1 x 1 x 1 pixels; at most one or so."""
    steps = torch.arange(-2, 3, device=image.device, dtype=image.dtype)
    weights = (-0.5 * (steps / sigma.view(-1, 1).clamp_min(1e-3)) ** 2).exp()
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(image.shape[1], 0)[:, None]
    count, channels, height, width = image.shape
    flat = functional.pad(image.reshape(1, count * channels, height, width), (2, 2, 2, 2), mode="replicate")
    flat = functional.conv2d(flat, weights[:, :, :, None], groups=count * channels)
    flat = functional.conv2d(flat, weights[:, :, None, :], groups=count * channels)
    return flat.view(count, channels, height, width)
