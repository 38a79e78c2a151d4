"""An image-to-image network that starts as the identity."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError

Form = Literal["residual", "affine", "both"]
MARGIN = 0.1
"""How far outside 0..1 the output may lie at most."""


class TransformNetwork(nn.Module):
    """Map images B x 3 x H x W in 0..1 to images of the same size, exactly the identity when it is made.

    ``form=residual``: image + a small convolution network (3 x 3 to ``width`` channels, ``depth`` times 3 x 3 with
    group norm and ReLU, 3 x 3 back to 3, whose weights start at zero). ``form=affine``: per channel a gain, an offset
    and a curve, 9 numbers in all. ``form=both``: the affine map first, then the residual.

    No value moves by more than ``strength``: statistics alone are met well by a flat image of the right colour, and an
    unbounded network finds it.
    """

    def __init__(self, *, form: Form = "residual", width: int = 32, depth: int = 2, strength: float = 0.3) -> None:
        super().__init__()
        if form not in ("residual", "affine", "both"):
            raise ConfigError(f"transformation network: form '{form}' is unknown; use residual, affine or both")
        if width < 1 or depth < 0:
            raise ConfigError(f"transformation network: width={width} must be at least 1, depth={depth} not negative")
        if not 0 < strength < math.inf:
            raise ConfigError(f"transformation network: strength={strength} must be a number above 0")
        self.form, self.width, self.depth, self.strength = form, width, depth, strength
        self.curve = ChannelCurve() if form != "residual" else None
        self.residual = _convolutions(width, depth) if form != "affine" else None

    @property
    def architecture(self) -> dict[str, Any]:
        """The keyword arguments that make a network of the same shape."""
        return {"form": self.form, "width": self.width, "depth": self.depth, "strength": self.strength}

    def forward(self, image: Tensor) -> Tensor:
        """Return the transformed images."""
        moved = image if self.curve is None else self.curve(image)
        if self.residual is not None:
            moved = moved + self.residual(moved)
        change: Tensor = self.strength * ((moved - image) / self.strength).tanh()
        return soft_clamp(image + change)


class ChannelCurve(nn.Module):
    """Per channel x + gain * x + offset + tanh(curve) * x * (1 - x); all three start at zero.

    The last part bends the middle tones like a gamma and keeps 0 and 1 in place; |tanh| < 1 keeps it increasing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.offset = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.bend = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Return the mapped images."""
        return image + self.gain * image + self.offset + self.bend.tanh() * image * (1 - image)


def soft_clamp(image: Tensor) -> Tensor:
    """Return the image unchanged within 0..1 and bent smoothly towards -MARGIN and 1 + MARGIN outside.

    Once differentiable everywhere, and never flat: a pixel that is pushed out keeps a gradient back in.
    """
    inside = image.clamp(0, 1)
    return inside + MARGIN * ((image - inside) / MARGIN).tanh()


def _convolutions(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, padding_mode="replicate")]
    groups = next(g for g in (8, 4, 2, 1) if width % g == 0)
    for _ in range(depth):
        layers += [
            nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate", bias=False),
            nn.GroupNorm(groups, width),
            nn.ReLU(inplace=True),
        ]
    last = nn.Conv2d(width, 3, 3, padding=1, padding_mode="replicate")
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
