"""PyDNet in its mobile form: a pyramid of six levels that share one regressor.

Poggi et al., "Towards real-time unsupervised monocular depth estimation on CPU", IROS 2018; layer names and order as in
github.com/zshn25/Pydnet-Pytorch, so that its state dicts fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance, Tap
from kdcli_pydnet.blocks import initialise
from kdcli_pydnet.geometry import parse_net_size, to_net_size
from kdcli_pydnet.sources import Published, Training, load_weights, made_for, provenance_of, require

WIDTHS = (16, 32, 64, 96, 128, 192)
"""Channels of the encoder's levels, finest first; level I has stride 2 ** (I + 1)."""

MULTIPLE = 64
"""Sides must be multiples of this, so that all levels meet at whole pixels."""

PUBLISHED = Published(
    name="pydnet",
    code="MIT",
    get="github.com/zshn25/Pydnet-Pytorch",
    known={
        "a555f36438a4604cfa65a7a76f273be7a8a020e5db0ebd19b35f158d503010d0": Training(
            data="KITTI raw, self-supervised; 35 % of the weights pruned", terms="CC BY-NC-SA 3.0, non-commercial",
            made_for=MadeFor(train_size=(192, 640), domain="driving"),
        ),
    },
)

_SLOPE = 0.2
"""Of the leaky rectifiers."""

_FLOOR = 0.01
"""Disparity below which the output bends towards zero instead of crossing it."""


class Pydnet(nn.Module):
    """PyDNet as a student: disparity of the whole frame, up to scale, at half the network's size.

    The image is resized to ``size`` (HxW in multiples of 64, or ``native``) inside. A location gives the weights to
    start from; without one they are random. Strides of the taps are relative to the resized image.
    """

    api_version: ClassVar[int] = API_VERSION
    in_bytes: ClassVar[bool] = False
    """Whether the resized image is rounded to bytes, as image libraries do and these networks' numbers were made."""
    depth_kind = DepthKind.AFFINE_DISPARITY
    depth_range = (0.0, 10.0)
    taps: Mapping[str, Tap] = {
        **{f"enc{i + 1}": Tap(module=f"conv{i}", stride=2 ** (i + 1), channels=c) for i, c in enumerate(WIDTHS)},
        **{f"dec{6 - i}": Tap(module=f"decoder{i}", stride=2 ** (i + 1), channels=8) for i in reversed(range(6))},
        "pre_head": Tap(module="decoder0", stride=2, channels=8),
    }

    def __init__(self, location: str | None = None, *, size: str = "192x640") -> None:
        """Build the network.

        Raises:
            SpecError: a size that does not fit. WeightsError: weights that are missing, broken or foreign.
        """
        super().__init__()
        self.input_size = parse_net_size(size, MULTIPLE, "pydnet")
        self.architecture = f"pydnet,size={size}"
        inputs = 3
        for i, width in enumerate(WIDTHS):
            setattr(self, f"conv{i}", _encoder(inputs, width))
            setattr(self, f"decoder{i}", _decoder(width if i == 5 else width + 8))
            inputs = width
        # Zero padding right and below keeps the doubled size under the 2 x 2 convolution.
        self.deconv = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(8, 8, 2),
        )
        self.regressor = nn.Conv2d(8, 1, 3, padding=1)
        initialise(self, _SLOPE)
        # Start at a disparity in the middle of what trained weights give, on the positive side.
        nn.init.normal_(self.regressor.weight, std=0.01)
        nn.init.constant_(self.regressor.bias, -0.2)  # type: ignore[arg-type]
        if location:
            load_weights(self, location)
        self.made_for = made_for(location, PUBLISHED)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Return the raw maps, finest first: minus disparity, B x 1 at strides 2 to 64.

        ``image`` is B x 3 x h x w in multiples of 64.
        """
        return [self.regressor(feature) for feature in reversed(self._features(image))]

    def forward(self, image: Tensor) -> Prediction:
        """Predict disparity of the whole frame; B x 3 x H x W in 0..1 of any size."""
        features = self._features(to_net_size(image, self.input_size, MULTIPLE, in_bytes=self.in_bytes))
        return Prediction(depth=_positive(-self.regressor(features[-1])), kind=self.depth_kind)

    def _features(self, image: Tensor) -> list[Tensor]:
        pyramid, feature = [], image
        for i in range(6):
            feature = self.get_submodule(f"conv{i}")(feature)
            pyramid.append(feature)
        decoded = [self.get_submodule("decoder5")(pyramid[5])]
        for i in reversed(range(5)):
            joined = torch.cat([pyramid[i], self.deconv(decoded[-1])], dim=1)
            decoded.append(self.get_submodule(f"decoder{i}")(joined))
        return decoded


class PydnetTeacher(Pydnet):
    """PyDNet with trained weights: ``pydnet:FILE``."""

    in_bytes = True
    provenance: Provenance

    def __init__(self, location: str | None = None, *, size: str = "192x640") -> None:
        """Build the network and load its weights.

        Raises:
            SpecError: a size that does not fit. WeightsError: weights that are missing, broken or foreign.
        """
        super().__init__(require(location, PUBLISHED), size=size)
        self.provenance = provenance_of(require(location, PUBLISHED), PUBLISHED)


def _encoder(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(_SLOPE),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.LeakyReLU(_SLOPE),
    )


def _decoder(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, 96, 3, padding=1), nn.LeakyReLU(_SLOPE),
        nn.Conv2d(96, 64, 3, padding=1), nn.LeakyReLU(_SLOPE),
        nn.Conv2d(64, 32, 3, padding=1), nn.LeakyReLU(_SLOPE),
        nn.Conv2d(32, 8, 3, padding=1),
    )


def _positive(disparity: Tensor) -> Tensor:
    """Keep numbers above a small floor as they are and bend the rest towards zero, with a continuous slope."""
    below = _FLOOR * torch.exp(disparity.clamp(max=_FLOOR) / _FLOOR - 1.0)
    return torch.where(disparity > _FLOOR, disparity, below)
