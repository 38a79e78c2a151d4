"""MFF: the light networks of JunjH, a teacher with 21.9 and a student with 1.7 million parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdcli.networks.mff import ENCODERS, MffNet, MobileNetEncoder
from kdcli.networks.normalise import Normalise
from kdcli.published.base import Published, backbone_of, check_farthest, drawing, encoder_start, resize_corners
from kdcli.published.facts import made_for
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, Pretrained, ReadOut, Tap
from kdcli.weights.rename import Rule, rename

Backbone = Literal["resnet34", "mobilenet_v2"]

_MARKS: dict[Backbone, str] = {"resnet34": "E.conv1.weight", "mobilenet_v2": "E.mv2.0.0.weight"}


class Mff(Published):
    """Encoder with multi-scale fusion (``backbone=resnet34`` or ``mobilenet_v2``): metric depth at the image's size.

    The location is a checkpoint of JunjH/Boosting-Light-Weight-Depth-Estimation, which tells its backbone; without one
    the backbone is resnet34 unless given, and ``pretrained=true`` begins with ImageNet weights in the encoder. The
    original enlarges every prediction to 228 x 304, the size of the images that it is made for; here it gets the size
    of its image, in the same way (bilinear, corners aligned), so that at 228 x 304 the two are equal.
    """

    title: ClassVar[str] = "MFF"
    licence: ClassVar[str] = "MIT"
    reference: ClassVar[str] = (
        "Boosting Light-Weight Depth Estimation, arXiv 2105.06143; "
        "https://github.com/JunjH/Boosting-Light-Weight-Depth-Estimation"
    )
    any_kind = True
    bounded = False

    def __init__(
        self, location: str | None = None, *, backbone: Backbone | None = None, max_depth: float = 10.0,
        pretrained: Pretrained = False,
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
            self.network = MffNet(chosen, pretrained=encoder_start(pretrained, read))
        if read is not None:
            self.fill(read, rename(read.state, _rules(chosen), read.path, network=f"MFF on {chosen}", advice=_ADVICE))
        self.depth_range = (0.0, check_farthest(max_depth))
        self.read_out = ReadOut(resize="bilinear-corners")
        self.made_for = made_for(self.title, read, max_depth, self.depth_range)
        self.architecture = f"mff,backbone={chosen},max_depth={max_depth:.12g}"
        self.taps = _taps(chosen)

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        return "mff-mobilenetv2-nyu" if options.get("backbone") == "mobilenet_v2" else "mff-resnet34-nyu"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at the image's size."""
        depth = resize_corners(self.network(self.normalise(image)), image.shape[-2:])
        return Prediction(depth=depth, kind=self.depth_kind)


MffTeacher = teacher_of(Mff)

_ADVICE = "give one of JunjH/Boosting-Light-Weight-Depth-Estimation"


def _rules(backbone: Backbone) -> list[Rule]:
    """Return how the authors' names become ours; MobileNetV2 has torchvision's in the file and timm's here."""
    if backbone == "resnet34":
        return [(r"(E|MFF|R)\.", r"\1.")]
    rules = [(r"E\.mv2\.0\.0\.", "E.conv_stem."), (r"E\.mv2\.0\.1\.", "E.bn1.")]
    block = 0
    for group, length in enumerate((1, 2, 3, 4, 3, 3)):
        for place in range(length):
            block += 1
            # The first block does not widen, so it lacks the first of the three convolutions.
            parts = ["conv_dw", "conv_pw"] if block == 1 else ["conv_pw", "conv_dw", "conv_pwl"]
            for i, part in enumerate(parts):
                last = i == len(parts) - 1
                conv, norm = (f"{i}", f"{i + 1}") if last else (f"{i}.0", f"{i}.1")
                for old, new in ((conv, part), (norm, f"bn{i + 1}")):
                    rules.append((re.escape(f"E.mv2.{block}.conv.{old}."), f"E.blocks.{group}.{place}.{new}."))
    return [*rules, (r"(MFF|R)\.", r"\1.")]


def _taps(backbone: Backbone) -> dict[str, Tap]:
    modules = (
        [f"blocks.{i}" for i in MobileNetEncoder.TAKEN] if backbone == "mobilenet_v2"
        else [f"layer{i}" for i in (1, 2, 3, 4)]
    )
    taps = {
        f"enc{i + 1}": Tap(module=f"network.E.{module}", stride=4 << i, channels=channels)
        for i, (module, channels) in enumerate(zip(modules, ENCODERS[backbone][1], strict=True))
    }
    taps["dec1"] = Tap(module="network.MFF", stride=2, channels=64)
    taps["pre_head"] = Tap(module="network.R.relu0", stride=2, channels=64)
    return taps
