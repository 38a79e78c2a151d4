"""AdaBins (arXiv 2011.14141): an EfficientNet-B5 encoder-decoder and a small transformer that places bins per image.

Written from the paper and from the names and shapes in the authors' checkpoints. Three things that the paper does not
say matter for the released weights: the first convolution of the decoder pads its 1x1 kernel by one, all resizing
aligns corners, and the backbone is TensorFlow's variant (its "same" padding is not symmetric, batch norm eps 1e-3).

The version of the Monocular-Depth-Estimation-Toolbox differs in the decoder alone: no padding around that 1x1 kernel,
convolutions without bias before batch norm, ReLU for leaky ReLU, and a depth convolution that nothing reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.backbone import timm_network
from kdcli.types import Pretrained

Layout = Literal["official", "toolbox"]
"""Whose decoder it is: that of AdaBins' authors, or of the Monocular-Depth-Estimation-Toolbox."""

CHANNELS = (24, 40, 64, 176, 2048)
"""Channels of the encoder's features at strides 2, 4, 8, 16, 32."""

PATCH = 16
"""Edge of a transformer patch on the half-size map; twice that on the image."""

QUERIES = 128
"""Outputs of the transformer that become 1x1 kernels; one more, the first, becomes the bins."""

POSITIONS = 500
"""Rows of the learned table of positions: the most patches an image may have."""


class Bins(NamedTuple):
    """What the network gives: depth B x 1 x h x w, probs B x K x h x w, centers and edges B x K and B x K+1."""

    depth: Tensor
    probs: Tensor
    centers: Tensor
    edges: Tensor


class AdaBinsNet(nn.Module):
    """The network on normalised images, B x 3 x H x W to half that size; 129 to 500 patches of 32 x 32 pixels."""

    def __init__(
        self, layout: Layout = "official", *, bins: int = 256, min_depth: float = 1e-3, max_depth: float = 10.0,
        pretrained: Pretrained = False,
    ) -> None:
        super().__init__()
        self.min_depth, self.max_depth = min_depth, max_depth
        self.backbone = timm_network(
            "tf_efficientnet_b5.ap_in1k", pretrained=pretrained, num_classes=0, global_pool=""
        )
        self.decoder = Decoder(layout)
        self.attention = BinAttention(128, bins)
        self.classify = nn.Conv2d(QUERIES, bins, 1)
        if layout == "toolbox":
            # Of the base class of its heads: in every checkpoint, read by nothing.
            self.conv_depth = nn.Conv2d(128, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Bins:
        """Return depth as the expectation over the image's own bins: sum of probs times centers (equation 3)."""
        widths, ranges = self.attention(self.decoder(self.encode(image)))
        probs = torch.softmax(self.classify(ranges).float(), dim=1)
        # Equations 1 and 2: shares of the depth range, accumulated into edges; a centre is the middle of its bin.
        scaled = (self.max_depth - self.min_depth) * widths.float()
        edges = torch.cumsum(functional.pad(scaled, (1, 0), value=self.min_depth), dim=1)
        centers = 0.5 * (edges[:, :-1] + edges[:, 1:])
        depth = (probs * centers[:, :, None, None]).sum(dim=1, keepdim=True)
        return Bins(depth, probs, centers, edges)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the features at strides 2, 4, 8, 16, 32; the last is the head convolution without its norm."""
        net: Any = self.backbone
        feature = net.bn1(net.conv_stem(image))
        features = []
        for number, stage in enumerate(net.blocks):
            feature = stage(feature)
            if number in (0, 1, 2, 4):
                features.append(feature)
        return [*features, net.conv_head(feature)]


class Decoder(nn.Module):
    """From the encoder's features to 128 channels at half the image's size."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        deepest = CHANNELS[-1]
        # A 1x1 kernel padded by one: the map grows by a border of bias, and the weights were trained with it.
        self.widen = nn.Conv2d(deepest, deepest, 1, padding=1 if layout == "official" else 0)
        self.ups = nn.ModuleList(
            Up((deepest >> i) + skip, deepest >> (i + 1), layout) for i, skip in enumerate(reversed(CHANNELS[:-1]))
        )
        self.out = nn.Conv2d(deepest >> 4, 128, 3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return B x 128 x H/2 x W/2 of features that are finest first."""
        feature = self.widen(features[-1])
        for up, skip in zip(self.ups, reversed(features[:-1]), strict=True):
            feature = up(feature, skip)
        return self.out(feature)  # type: ignore[no-any-return]


class Up(nn.Sequential):
    """Enlarge to the skip's size, concatenate, convolve twice."""

    def __init__(self, inputs: int, outputs: int, layout: Layout) -> None:
        bias, activation = (True, nn.LeakyReLU) if layout == "official" else (False, nn.ReLU)
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.BatchNorm2d(outputs), activation(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias), nn.BatchNorm2d(outputs), activation(),
        )

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        """Return B x outputs at the size of ``skip``."""
        larger = functional.interpolate(coarse, size=skip.shape[-2:], mode="bilinear", align_corners=True)
        return super().forward(torch.cat([larger, skip], dim=1))  # type: ignore[no-any-return,no-untyped-call]


class BinAttention(nn.Module):
    """The mini transformer: bin widths B x K that sum to one, and range attention maps B x 128 x h x w."""

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, 128, PATCH, stride=PATCH)
        self.positions = nn.Parameter(torch.rand(POSITIONS, 128))
        self.layers = nn.ModuleList(EncoderLayer(128, heads=4, hidden=1024) for _ in range(4))
        self.local = nn.Conv2d(channels, 128, 3, padding=1)
        self.regressor = nn.Sequential(
            nn.Linear(128, 256), nn.LeakyReLU(), nn.Linear(256, 256), nn.LeakyReLU(), nn.Linear(256, bins)
        )

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Attend over patches; the first output gives the bins, the next 128 the kernels."""
        tokens = self.patches(feature).flatten(2).transpose(1, 2)
        tokens = tokens + self.positions[: tokens.shape[1]]
        for layer in self.layers:
            tokens = layer(tokens)
        ranges = torch.einsum("bqc,bchw->bqhw", tokens[:, 1 : QUERIES + 1], self.local(feature))
        # Never zero: a bin of no width could not be found again by the gradient.
        shares = torch.relu(self.regressor(tokens[:, 0]).float()) + 0.1
        return shares / shares.sum(dim=1, keepdim=True), ranges


class EncoderLayer(nn.Module):
    """A transformer layer that normalises after each sum; attention in the layout of PyTorch's own checkpoints."""

    def __init__(self, width: int, *, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return B x S x width; without dropout, as at inference."""
        batch, count, width = tokens.shape
        parts = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        tokens = self.norm1(tokens + self.join(mixed.transpose(1, 2).reshape(batch, count, width)))
        return self.norm2(tokens + self.linear2(torch.relu(self.linear1(tokens))))  # type: ignore[no-any-return]
