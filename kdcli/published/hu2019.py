"""Hu et al. 2019: encoder, decoder, fusion and refinement, on ResNet-50, DenseNet-161 or SENet-154."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdcli.networks.hu2019 import ENCODERS, Hu2019Net
from kdcli.networks.normalise import Normalise
from kdcli.published.base import Published, backbone_of, check_farthest, drawing, encoder_start
from kdcli.published.facts import made_for
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, Pretrained, ReadOut, Tap
from kdcli.weights.rename import Rule, rename

Backbone = Literal["resnet50", "densenet161", "senet154"]

_MARKS: dict[Backbone, str] = {
    "resnet50": "E.conv1.weight", "densenet161": "E.features.conv0.weight", "senet154": "E.base.0.conv1.weight",
}

_RULES: list[Rule] = [
    # The first torchvision wrote norm.1 and conv.2 where later ones, and timm, write norm1 and conv2.
    (r"(E\.features\.denseblock\d+\.denselayer\d+)\.(norm|conv)\.?([12])\.", r"\1.\2\3."),
    (r"(E|D|MFF|R)\.", r"\1."),
]


class Hu2019(Published):
    """Hu et al. 2019 (``backbone=resnet50``, ``densenet161`` or ``senet154``): metric depth at half the image's size.

    The location is a checkpoint of JunjH/Revisiting_Single_Depth_Estimation, which tells its backbone; without one the
    backbone is resnet50 unless given, and ``pretrained=true`` begins with ImageNet weights in the encoder. Made for
    228 x 304; other sizes work.

    The authors' code enlarges maps without saying whether corners are aligned. ``align_corners=false``, the default, is
    what it computes with PyTorch 0.4 and later, today's included; ``true`` is what it computed with PyTorch 0.3. The
    code was written for the latter, so the released weights were most likely trained with ``true``: compare both on
    images with ground truth. A checkpoint does not tell.
    """

    title: ClassVar[str] = "Hu et al. 2019"
    licence: ClassVar[str] = "unknown"
    reference: ClassVar[str] = (
        "Revisiting Single Image Depth Estimation, arXiv 1803.08673; "
        "https://github.com/JunjH/Revisiting_Single_Depth_Estimation"
    )
    any_kind = True
    bounded = False

    def __init__(
        self, location: str | None = None, *, backbone: Backbone | None = None, align_corners: bool = False,
        max_depth: float = 10.0, pretrained: Pretrained = False,
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing, does not fit or has another backbone, or pretrained weights cannot
                be had.
        """
        super().__init__()
        read = self.checkpoint(location)
        chosen = backbone_of(read, backbone, _MARKS, self.title)
        self.normalise = Normalise()
        with drawing(read):
            self.network = Hu2019Net(chosen, align_corners=align_corners, pretrained=encoder_start(pretrained, read))
        if read is not None:
            advice = "give one of JunjH/Revisiting_Single_Depth_Estimation"
            self.fill(read, rename(read.state, _RULES, read.path, network=f"Hu et al. 2019 on {chosen}", advice=advice))
        self.depth_range = (0.0, check_farthest(max_depth))
        self.read_out = ReadOut(resize="bilinear-corners" if align_corners else "bilinear")
        self.made_for = made_for(self.title, read, max_depth, self.depth_range)
        self.architecture = (
            f"hu2019,backbone={chosen},align_corners={str(align_corners).lower()},max_depth={max_depth:.12g}"
        )
        self.taps = _taps(chosen)

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        return f"hu2019-{options.get('backbone') or 'resnet50'}-nyu"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at twice the size of the encoder's first map, half that of the image."""
        return Prediction(depth=self.network(self.normalise(image)), kind=self.depth_kind)


Hu2019Teacher = teacher_of(Hu2019)


def _taps(backbone: Backbone) -> dict[str, Tap]:
    modules = {
        "resnet50": [f"layer{i}" for i in (1, 2, 3, 4)],
        "densenet161": [*(f"features.transition{i}.conv" for i in (1, 2, 3)), "features.norm5"],
        "senet154": [f"base.{i}" for i in (1, 2, 3, 4)],
    }[backbone]
    channels = ENCODERS[backbone][1]
    taps = {
        f"enc{i + 1}": Tap(module=f"network.E.{module}", stride=4 << i, channels=channels[i])
        for i, module in enumerate(modules)
    }
    for i in range(4):
        taps[f"dec{i + 1}"] = Tap(module=f"network.D.up{i + 1}", stride=16 >> i, channels=channels[3] >> (i + 2))
    taps["pre_head"] = Tap(module="network.R.relu1", stride=2, channels=channels[3] // 32 + 64)
    return taps
