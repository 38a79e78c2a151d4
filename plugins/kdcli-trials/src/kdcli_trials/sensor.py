"""Effects of a camera, drawn at random for each image, or the same for all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.protocols import API_VERSION
from kdcli.transform import load

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class Sensor:
    """Blur, exposure, vignetting and noise, in the order in which a camera has them, each from none to its key.

    blur: standard deviation in pixels. exposure: e, a factor from 1 / (1 + e) to 1 + e. vignette: how much darker the
    corners are. noise: standard deviation, of values in 0..1. file: of ``python -m kdcli_trials.fits sensor``; its
    four numbers for every image, in place of these.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(
        self, *, blur: float = 0.6, exposure: float = 0.3, vignette: float = 0.3, noise: float = 0.02,
        file: str | None = None,
    ) -> None:
        """Take the ranges, or read the fitted numbers.

        Raises:
            SpecError: a negative one, or a file without them. WeightsError: no such file.
        """
        for name, value in (("blur", blur), ("exposure", exposure), ("vignette", vignette), ("noise", noise)):
            if value < 0:
                raise SpecError(f"sensor: {name}={value:g} must not be negative; 0 leaves it out")
        self.most = {"blur": blur, "exposure": math.log1p(exposure), "vignette": vignette, "noise": noise}
        self.fixed = None if file is None else _fitted(Path(file))

    @torch.no_grad()
    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with changed images; labels stay, since no pixel moves."""
        image = batch.image
        device, shape = image.device, (len(batch), 1, 1, 1)

        def drawn() -> Tensor:
            return torch.rand(shape, generator=ctx.generator, device=device, dtype=image.dtype)

        values = self.fixed or {
            name: most * (2 * drawn() - 1 if name == "exposure" else drawn())
            for name, most in self.most.items() if most
        }
        grain = torch.randn(image.shape, generator=ctx.generator, device=device, dtype=image.dtype)
        return replace(batch, image=sensed(image, values, grain).clamp(0, 1), taught=None)


def sensed(image: Tensor, values: Mapping[str, Tensor | float], grain: Tensor) -> Tensor:
    """Return images B x 3 x H x W as a camera sees them, not clamped; what ``values`` does not name is left out.

    blur, vignette and noise as of ``Sensor``, exposure as the logarithm of its factor: numbers, or B x 1 x 1 x 1.
    ``grain``: normal noise of the images' shape.
    """
    strength = {name: torch.as_tensor(value, device=image.device, dtype=image.dtype) for name, value in values.items()}
    if "blur" in strength:
        image = _blurred(image, strength["blur"])
    if "exposure" in strength:
        image = image * strength["exposure"].exp()
    if "vignette" in strength:
        rows, columns = (torch.linspace(-1, 1, n, device=image.device, dtype=image.dtype) for n in image.shape[-2:])
        image = image * (1 - strength["vignette"] * (rows[:, None] ** 2 + columns**2) / 2)
    return image + strength["noise"] * grain if "noise" in strength else image


def _fitted(path: Path) -> dict[str, Tensor | float]:
    values = load(path)[1].get("sensor")
    names = {"blur", "exposure", "vignette", "noise"}
    if not isinstance(values, dict) or set(values) != names or not all(isinstance(v, float) for v in values.values()):
        raise SpecError(
            f"sensor: '{path}' holds no effects of a camera; make it with python -m kdcli_trials.fits sensor"
        )
    return dict(values)


def _blurred(image: Tensor, sigma: Tensor) -> Tensor:
    """Return images B x C x H x W blurred by Gaussians of deviation sigma pixels, one or B; at most one or so."""
    steps = torch.arange(-2, 3, device=image.device, dtype=image.dtype)
    weights = (-0.5 * (steps / sigma.reshape(-1, 1).clamp_min(1e-3)) ** 2).exp()
    count, channels, height, width = image.shape
    weights = (weights / weights.sum(1, keepdim=True)).expand(count, 5).repeat_interleave(channels, 0)[:, None]
    flat = functional.pad(image.reshape(1, count * channels, height, width), (2, 2, 2, 2), mode="replicate")
    flat = functional.conv2d(flat, weights[:, :, :, None], groups=count * channels)
    flat = functional.conv2d(flat, weights[:, :, None, :], groups=count * channels)
    return flat.view(count, channels, height, width)
