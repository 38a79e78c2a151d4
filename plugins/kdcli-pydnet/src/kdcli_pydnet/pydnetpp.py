"""PyDNet++ (mobilePydnet): the pyramid with one head per level, trained for depth rather than disparity.

Poggi et al., "Real-time self-supervised monocular depth estimation without GPU", T-ITS 2022; layer names follow
github.com/FilippoAleotti/mobilePydnet. Convolutions of stride 2 pad right and below, as TensorFlow does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance, Tap
from kdcli_pydnet.blocks import RectifiedConv2d, initialise
from kdcli_pydnet.geometry import parse_net_size, to_net_size
from kdcli_pydnet.sources import Published, Training, load_weights, made_for, provenance_of, require

WIDTHS = (16, 32, 64, 96, 128, 192)
"""Channels of the encoder's levels 1 to 6; level N has stride 2 ** N."""

MULTIPLE = 64
"""Sides must be multiples of this, so that all levels meet at whole pixels."""

PUBLISHED = Published(
    name="pydnetpp",
    code="Apache-2.0",
    get="github.com/FilippoAleotti/mobilePydnet",
    known={
        "9d1350865259f6bd3ae97c44c674ff2902aac29e5d49d2eefeefb78de03ea18e": Training(
            data="Matterport3D", terms="Matterport3D terms of use, research only, non-commercial",
            made_for=MadeFor(train_size=(448, 640), domain="indoor"),
        ),
    },
)

_SLOPE = 0.2
"""Of the leaky rectifiers."""


class PydnetPlus(nn.Module):
    """PyDNet++ as a student: depth of the whole frame, up to scale and shift, at half the network's size.

    The image is resized to ``size`` (HxW in multiples of 64, or ``native``) inside. A location gives the weights to
    start from; without one they are random. Strides of the taps are relative to the resized image. ``aux`` of a
    prediction holds the coarser heads.
    """

    api_version: ClassVar[int] = API_VERSION
    in_bytes: ClassVar[bool] = False
    """Whether the resized image is rounded to bytes, as image libraries do and these networks' numbers were made."""
    depth_kind = DepthKind.AFFINE_DEPTH
    depth_range = (0.0, 1000.0)
    taps: Mapping[str, Tap] = {
        **{f"enc{n}": Tap(module=f"encoder.conv{n}b", stride=2**n, channels=c) for n, c in enumerate(WIDTHS, start=1)},
        **{f"dec{7 - n}": Tap(module=f"decoder.L{n}.disp6", stride=2**n, channels=8) for n in range(6, 0, -1)},
        "pre_head": Tap(module="decoder.L1.disp6", stride=2, channels=8),
    }

    def __init__(self, location: str | None = None, *, size: str = "448x640") -> None:
        """Build the network.

        Raises:
            SpecError: a size that does not fit. WeightsError: weights that are missing, broken or foreign.
        """
        super().__init__()
        self.input_size = parse_net_size(size, MULTIPLE, "pydnetpp")
        self.architecture = f"pydnetpp,size={size}"
        self.encoder = _Encoder()
        self.decoder = nn.ModuleDict({
            f"L{n}": _Level(width if n == 6 else width + 8, upsampler=n > 1, head=n <= 3)
            for n, width in enumerate(WIDTHS, start=1)
        })
        initialise(self, _SLOPE)
        for n in (1, 2, 3):
            # Start positive, where depth is and where the rectifier passes the whole gradient.
            head: Any = self.decoder[f"L{n}"].get_submodule("head")
            nn.init.normal_(head.weight, std=0.01)
            nn.init.ones_(head.bias)
        if location:
            load_weights(self, location)
        self.made_for = made_for(location, PUBLISHED)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Return the maps of the three heads, finest first: B x 1 at strides 2, 4 and 8.

        ``image`` is B x 3 x h x w in multiples of 64.
        """
        pyramid = self.encoder(image)
        heads: list[Tensor] = []
        joined = pyramid[5]
        for n in range(6, 0, -1):
            level = self.decoder[f"L{n}"]
            decoded = level(joined)
            if n <= 3:
                heads.append(functional.leaky_relu(level.get_submodule("head")(decoded), _SLOPE))
            if n > 1:
                upsampled = functional.leaky_relu(level.get_submodule("upsampler")(decoded), _SLOPE)
                joined = torch.cat([pyramid[n - 2], upsampled], dim=1)
        return heads[::-1]

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth of the whole frame; B x 3 x H x W in 0..1 of any size."""
        finest, *coarser = self.maps(to_net_size(image, self.input_size, MULTIPLE, in_bytes=self.in_bytes))
        return Prediction(depth=finest, kind=self.depth_kind, aux=tuple(coarser))


class PydnetPlusTeacher(PydnetPlus):
    """PyDNet++ with trained weights: ``pydnetpp:FILE``."""

    in_bytes = True
    provenance: Provenance

    def __init__(self, location: str | None = None, *, size: str = "448x640") -> None:
        """Build the network and load its weights.

        Raises:
            SpecError: a size that does not fit. WeightsError: weights that are missing, broken or foreign.
        """
        super().__init__(require(location, PUBLISHED), size=size)
        self.provenance = provenance_of(require(location, PUBLISHED), PUBLISHED)


class _Encoder(nn.Module):
    """Six levels of a stride-2 and a stride-1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for n, width in enumerate(WIDTHS, start=1):
            self.add_module(f"conv{n}a", RectifiedConv2d(inputs, width, stride=2, padding=0, slope=_SLOPE))
            self.add_module(f"conv{n}b", RectifiedConv2d(width, width, slope=_SLOPE))
            inputs = width

    def forward(self, feature: Tensor) -> list[Tensor]:
        pyramid = []
        for n in range(1, 7):
            feature = self.get_submodule(f"conv{n}a")(functional.pad(feature, (0, 1, 0, 1)))
            feature = self.get_submodule(f"conv{n}b")(feature)
            pyramid.append(feature)
        return pyramid


class _Level(nn.Module):
    """Four convolutions; beside them the layers that carry the result up and out."""

    def __init__(self, inputs: int, *, upsampler: bool, head: bool) -> None:
        super().__init__()
        self.disp3 = nn.Conv2d(inputs, 96, 3, padding=1)
        self.disp4 = nn.Conv2d(96, 64, 3, padding=1)
        self.disp5 = nn.Conv2d(64, 32, 3, padding=1)
        self.disp6 = nn.Conv2d(32, 8, 3, padding=1)
        if upsampler:
            self.upsampler = nn.ConvTranspose2d(8, 8, 2, stride=2)
        if head:
            self.head = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, feature: Tensor) -> Tensor:
        for layer in (self.disp3, self.disp4, self.disp5):
            feature = functional.leaky_relu(layer(feature), _SLOPE)
        decoded: Tensor = self.disp6(feature)
        return decoded
