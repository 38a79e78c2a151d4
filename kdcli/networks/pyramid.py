"""Depth networks over a feature pyramid of timm: backbone, light decoder, head, taps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.networks.backbone import create_backbone, describe
from kdcli.networks.decoder import Decoder
from kdcli.networks.heads import BinsHead, DirectHead, Spacing
from kdcli.networks.normalise import IMAGENET_MEAN, IMAGENET_STD, Normalise
from kdcli.types import DepthKind, Prediction, Pretrained, Tap


class PyramidNet(nn.Module):
    """A depth network over any pyramid backbone of timm.

    ``forward`` takes B x 3 x H x W in 0..1 of any size and predicts metric depth at half of it (rounded up), which is
    a quarter of the pixels to train on. Taps: ``enc1..`` are the backbone's stages, finest first, ``dec1..`` the
    decoder's levels, coarsest first, ``pre_head`` is what the head sees.
    """

    depth_kind: DepthKind = DepthKind.METRIC
    """May be set to a weaker kind on a network whose teacher knew no metres; predictions then carry it."""
    any_kind = True

    def __init__(
        self,
        backbone: str,
        *,
        head: str = "direct",
        bins: int = 64,
        spacing: Spacing = "log",
        min_depth: float = 0.1,
        max_depth: float = 10.0,
        pretrained: Pretrained = False,
        decoder: int = 16,
    ) -> None:
        """Build the network.

        Raises:
            SpecError: an unknown or unfit backbone, a depth range or a width that does not hold.
            WeightsError: pretrained weights that cannot be had.
        """
        super().__init__()
        if decoder < 1:
            raise SpecError(f"decoder={decoder} is no width; use a positive number of channels, for example 16")
        self.backbone = create_backbone(backbone, pretrained=pretrained)
        config: Mapping[str, Sequence[float]] = getattr(self.backbone, "default_cfg", None) or {}
        self.normalise = Normalise(config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD))
        channels, reductions = describe(self.backbone)
        # Hooks need a module whatever the backbone's own tree looks like; an identity costs nothing, also exported.
        self.stages = nn.ModuleList(nn.Identity() for _ in channels)
        self.decoder = Decoder(channels, reductions, decoder)
        width = self.decoder.channels
        self.head: nn.Module = (
            BinsHead(width, min_depth, max_depth, bins, spacing)
            if head == "bins"
            else DirectHead(width, min_depth, max_depth)
        )
        self.depth_range = (min_depth, max_depth)
        self.taps = self._name_taps(channels, reductions)

    def forward(self, image: Tensor) -> Prediction:
        """Predict metric depth at half the image's size."""
        pyramid = self.backbone(self.normalise(image))
        pyramid = [stage(feature) for stage, feature in zip(self.stages, pyramid, strict=True)]
        depth, probs, centers = self.head(self.decoder(pyramid))
        return Prediction(depth=depth, kind=self.depth_kind, probs=probs, centers=centers)

    def deployed(self) -> PyramidNet:
        """Fold the backbone's branches into single layers (MobileOne, RepViT, FastViT ...); most have none."""
        self.backbone = reparameterize_model(self.backbone, inplace=True)
        return self

    def begin_at(self, depth: float) -> None:
        """Begin at a depth in metres instead of the geometric middle of the range; before the first update only."""
        self.head.begin_at(depth)  # type: ignore[operator]

    def _name_taps(self, channels: Sequence[int], reductions: Sequence[int]) -> dict[str, Tap]:
        taps = {
            f"enc{i + 1}": Tap(module=f"stages.{i}", stride=stride, channels=count)
            for i, (count, stride) in enumerate(zip(channels, reductions, strict=True))
        }
        for i, (count, stride) in enumerate(zip(self.decoder.widths, self.decoder.strides, strict=True)):
            taps[f"dec{i + 1}"] = Tap(module=f"decoder.levels.{i}", stride=stride, channels=count)
        taps["pre_head"] = Tap(module="decoder", stride=self.decoder.strides[-1], channels=self.decoder.channels)
        return taps
