"""uPyD-Net: a hundred thousand parameters for a microcontroller, on a 48 x 48 view of the frame's centre.

Layer names and order as in github.com/seyoungree/ultralow-power-monocular-depth-ondevice-learning (a fork of IDSIA's),
so that its state dicts fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance, Tap
from kdcli_pydnet.blocks import RectifiedConv2d, initialise
from kdcli_pydnet.geometry import centre_square, parse_net_size, to_net_size
from kdcli_pydnet.sources import Published, Training, load_weights, made_for, provenance_of, require

MULTIPLE = 4
"""Sides must be multiples of this, so that all levels meet at whole pixels."""

CROP = 360
"""Side in pixels of the centre square that the published weights were trained on, of frames at their full size."""

PUBLISHED = Published(
    name="upydnet",
    code="Apache-2.0",
    get="github.com/seyoungree/ultralow-power-monocular-depth-ondevice-learning",
    known={
        "089d45cc2623b3999ee62bb1cd6103acb2345aa7d6f9fafdba7fc0f87af5025e": Training(
            data="KITTI raw, Eigen train split, proxy disparity", terms="CC BY-NC-SA 3.0, non-commercial",
            made_for=MadeFor(train_size=(CROP, CROP), domain="driving"),
        ),
        "eac50638da303566fe656df126e449a800cbd3367d3b90a0ab91b2187ecd4f39": Training(
            data="NYU Depth v2", terms="no explicit licence, research use",
            made_for=MadeFor(train_size=(CROP, CROP), domain="indoor"),
        ),
    },
)

_SLOPE = 0.125
"""Of the leaky rectifiers."""

_RESCUE = 0.1
"""Share of the gradient that passes the last rectifier where it is closed, in training."""


class MicroPydnet(nn.Module):
    """uPyD-Net as a student: disparity of the centre square, up to scale, placed in a map of the whole frame.

    The network sees the centre square of ``crop`` pixels (of a smaller frame the largest square; 0 = the whole frame)
    resized to ``size`` (HxW in multiples of 4). The prediction has the image's size and ``valid`` marks the square;
    around it the border is repeated. With ``crop=0`` it is the network's own map of the whole frame. A location gives
    the weights to start from; without one they are random. Strides of the taps are relative to the resized square.
    """

    api_version: ClassVar[int] = API_VERSION
    in_bytes: ClassVar[bool] = False
    """Whether the resized image is rounded to bytes, as image libraries do and these networks' numbers were made."""
    depth_kind = DepthKind.AFFINE_DISPARITY
    depth_range = (0.0, 360.0)
    taps: Mapping[str, Tap] = {
        "enc1": Tap(module="encoder.conv1", stride=1, channels=8),
        "enc2": Tap(module="encoder.conv3", stride=2, channels=16),
        "enc3": Tap(module="encoder.conv5", stride=4, channels=32),
        "dec1": Tap(module="decoder0", stride=4, channels=32),
        "dec2": Tap(module="decoder1", stride=2, channels=32),
        "pre_head": Tap(module="decoder2.conv1", stride=1, channels=32),
    }

    def __init__(self, location: str | None = None, *, size: str = "48x48", crop: int = CROP) -> None:
        """Build the network.

        Raises:
            SpecError: a size or crop that does not fit. WeightsError: weights that are missing, broken or foreign.
        """
        super().__init__()
        if crop < 0:
            raise SpecError(f"'upydnet,crop={crop}' is no side in pixels; use {CROP}, or 0 for the whole frame")
        self.input_size, self.crop = parse_net_size(size, MULTIPLE, "upydnet"), crop
        self.architecture = f"upydnet,size={size},crop={crop}"
        self.encoder = _Encoder()
        self.decoder0, self.decoder1, self.decoder2 = _Decoder(32, 32), _Decoder(48, 32), _Decoder(40, 1)
        self.ups0, self.ups1 = _Upsample(), _Upsample()
        initialise(self, _SLOPE)
        # Start on the positive side of the last rectifier, where there is a gradient.
        nn.init.normal_(self.decoder2.conv2.weight, std=0.01)
        nn.init.ones_(self.decoder2.conv2.bias)  # type: ignore[arg-type]
        if location:
            load_weights(self, location)
        self.made_for = made_for(location, PUBLISHED)

    def map(self, image: Tensor) -> Tensor:
        """Return the raw map, disparity B x 1 x h x w, of B x 3 x h x w in multiples of 4."""
        fine, middle, coarse = self.encoder(image)
        feature = self.ups0(self.decoder0(coarse))
        feature = self.ups1(self.decoder1(torch.cat([middle, feature], dim=1)))
        raw: Tensor = self.decoder2(torch.cat([fine, feature], dim=1))
        disparity = functional.relu(raw)
        if not self.training:
            return disparity
        # A last rectifier that once is below zero everywhere never learns again. Adds nothing but a gradient there.
        below = raw.clamp(max=0)
        return disparity + _RESCUE * (below - below.detach())

    def forward(self, image: Tensor) -> Prediction:
        """Predict disparity; B x 3 x H x W in 0..1 of any size."""
        if self.crop == 0:
            whole = to_net_size(image, self.input_size, MULTIPLE, in_bytes=self.in_bytes)
            return Prediction(depth=self.map(whole), kind=self.depth_kind)
        # Numbers, not symbols: which square that is depends on the frame's size, so an export must fix it.
        height, width = int(image.shape[-2]), int(image.shape[-1])
        top, left, side = centre_square(height, width, self.crop)
        square = image[..., top : top + side, left : left + side]
        disparity = self.map(to_net_size(square, self.input_size, MULTIPLE, in_bytes=self.in_bytes))
        disparity = functional.interpolate(disparity, size=(side, side), mode="bilinear", align_corners=False)
        around = (left, width - left - side, top, height - top - side)
        valid = torch.ones_like(disparity, dtype=torch.bool)
        return Prediction(
            depth=functional.pad(disparity, around, mode="replicate"),
            kind=self.depth_kind,
            valid=functional.pad(valid, around, value=False),
        )


class MicroPydnetTeacher(MicroPydnet):
    """uPyD-Net with trained weights: ``upydnet:FILE``."""

    in_bytes = True
    provenance: Provenance

    def __init__(self, location: str | None = None, *, size: str = "48x48", crop: int = CROP) -> None:
        """Build the network and load its weights.

        Raises:
            SpecError: a size or crop that does not fit. WeightsError: weights that are missing, broken or foreign.
        """
        super().__init__(require(location, PUBLISHED), size=size, crop=crop)
        self.provenance = provenance_of(require(location, PUBLISHED), PUBLISHED)


class _Encoder(nn.Module):
    """Six convolutions, two per level; the rectifier is part of each, so that a tap reads what goes on."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for i, (width, stride) in enumerate([(8, 1), (8, 1), (16, 2), (16, 1), (32, 2), (32, 1)]):
            self.add_module(f"conv{i}", RectifiedConv2d(inputs, width, stride=stride, slope=_SLOPE))
            inputs = width

    def forward(self, feature: Tensor) -> list[Tensor]:
        levels = []
        for i in range(6):
            feature = self.get_submodule(f"conv{i}")(feature)
            if i % 2:
                levels.append(feature)
        return levels


class _Decoder(nn.Module):
    """Three convolutions, the last without rectifier."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = RectifiedConv2d(inputs, 32, slope=_SLOPE)
        self.conv1 = RectifiedConv2d(32, 32, slope=_SLOPE)
        self.conv2 = nn.Conv2d(32, outputs, 3, padding=1)

    def forward(self, feature: Tensor) -> Tensor:
        decoded: Tensor = self.conv2(self.conv1(self.conv0(feature)))
        return decoded


class _Upsample(nn.Module):
    """Double the size with a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.tconv = nn.ConvTranspose2d(32, 32, 2, stride=2)

    def forward(self, feature: Tensor) -> Tensor:
        doubled: Tensor = self.tconv(feature)
        return doubled
