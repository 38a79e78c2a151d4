"""Depth networks over a feature pyramid of timm: backbone, light decoder, head, taps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn

from kdcli.errors import SpecError, WeightsError, nearest
from kdcli.networks.decoder import Decoder
from kdcli.networks.heads import BinsHead, DirectHead
from kdcli.networks.normalise import IMAGENET_MEAN, IMAGENET_STD, Normalise
from kdcli.types import DepthKind, Prediction, Tap


class PyramidNet(nn.Module):
    """A depth network over any pyramid backbone of timm.

    ``forward`` takes B x 3 x H x W in 0..1 of any size and predicts metric depth at half of it (rounded up), which is
    a quarter of the pixels to train on. Taps: ``enc1..`` are the backbone's stages, finest first, ``dec1..`` the
    decoder's levels, coarsest first, ``pre_head`` is what the head sees.
    """

    depth_kind = DepthKind.METRIC

    def __init__(
        self,
        backbone: str,
        *,
        head: str = "direct",
        bins: int = 64,
        min_depth: float = 0.1,
        max_depth: float = 10.0,
        pretrained: bool = False,
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
            BinsHead(width, min_depth, max_depth, bins) if head == "bins" else DirectHead(width, min_depth, max_depth)
        )
        self.depth_range = (min_depth, max_depth)
        self.taps = self._name_taps(channels, reductions)

    def forward(self, image: Tensor) -> Prediction:
        """Predict metric depth at half the image's size."""
        pyramid = self.backbone(self.normalise(image))
        pyramid = [stage(feature) for stage, feature in zip(self.stages, pyramid, strict=True)]
        prediction: Prediction = self.head(self.decoder(pyramid))
        return prediction

    def _name_taps(self, channels: Sequence[int], reductions: Sequence[int]) -> dict[str, Tap]:
        taps = {
            f"enc{i + 1}": Tap(module=f"stages.{i}", stride=stride, channels=count)
            for i, (count, stride) in enumerate(zip(channels, reductions, strict=True))
        }
        for i, (count, stride) in enumerate(zip(self.decoder.widths, self.decoder.strides, strict=True)):
            taps[f"dec{i + 1}"] = Tap(module=f"decoder.levels.{i}", stride=stride, channels=count)
        taps["pre_head"] = Tap(module="decoder", stride=self.decoder.strides[-1], channels=self.decoder.channels)
        return taps


def create_backbone(name: str, *, pretrained: bool) -> nn.Module:
    """Return a timm model that gives its stages, finest first, with ``feature_info``.

    Raises:
        SpecError: timm has no such model, or it gives no pyramid for images of any size.
        WeightsError: pretrained weights that cannot be had.
    """
    if not timm.is_model(name.partition(".")[0]):
        raise SpecError(f"timm has no model '{name}'.{nearest(name, timm.list_models())}")
    try:
        model: nn.Module = timm.create_model(name, features_only=True, pretrained=False)
        features = _probe(model)
    except Exception as error:  # many of timm's models cannot do it, each in its own way
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise SpecError(
            f"timm's '{name}' gives no feature pyramid for images of any size ({reason}); {_ADVICE}"
        ) from error
    channels, strides = describe(model)
    if [f.shape[1] for f in features] != channels or any(2 * a > b for a, b in itertools.pairwise(strides)):
        raise SpecError(f"timm's '{name}' gives no feature pyramid (strides {strides}, channels {channels}); {_ADVICE}")
    if not pretrained:
        return model
    try:
        loaded: nn.Module = timm.create_model(name, features_only=True, pretrained=True)
    except Exception as error:  # no network, no such weights, full disk: all mean that there are none
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise WeightsError(
            f"pretrained weights of timm's '{name}' cannot be had ({type(error).__name__}: {reason}); connect to the "
            "network once so that they are cached (folder: HF_HOME), or use pretrained=false"
        ) from error
    return loaded


def describe(backbone: nn.Module) -> tuple[list[int], list[int]]:
    """Return the channels and strides of a backbone's stages, finest first."""
    info: Any = backbone.feature_info
    return list(info.channels()), list(info.reduction())


_ADVICE = "use a convolutional one, for example resnet18 or mobilenetv2_100"


@torch.no_grad()
def _probe(model: nn.Module) -> list[Tensor]:
    """Return the features of a small image of odd size, to learn what no metadata says."""
    training = model.training
    features: list[Tensor] = model.eval()(torch.zeros(1, 3, 72, 104))
    model.train(training)
    if any(f.ndim != 4 or not math.isfinite(f.float().sum().item()) for f in features):
        raise ValueError("features are no maps")
    return features
