"""DepthART on MobileNetV4-M-slim: relative inverse depth of anything, with 6.05 million parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from kdcli.networks.depthart import DECODER, DepthArtNet
from kdcli.networks.depthart_encoder import CHANNELS
from kdcli.networks.normalise import Normalise
from kdcli.published.base import Published, check_farthest, drawing, encoder_start
from kdcli.published.facts import DEPTHART
from kdcli.published.teacher import teacher_of
from kdcli.types import DepthKind, Prediction, Pretrained, ReadOut, Tap


class DepthArt(Published):
    """DepthART MobileNetV4-M-slim-SPF: inverse depth up to scale and offset, at the image's size, whatever that is.

    The location is depthart_relative_mnv4m_slim_448.pth or ..._224.pth of xuefeng-cvr/DepthART, whose terms forbid
    commercial use; without one it is a student to train, and ``pretrained=true`` begins with ImageNet weights of timm's
    MobileNetV4-Conv-M in the encoder, of which the channels that count most are kept. A student gives what its teacher
    does, inverse depth or metres, but no negative numbers; ``max_depth`` is the largest number it is meant to give. The
    authors show it squares of 448 or 224 pixels, and warn of images far longer than high.
    """

    title: ClassVar[str] = "DepthART MobileNetV4-M-slim"
    licence: ClassVar[str] = "CC-BY-4.0 (code); weights not for commerce"
    reference: ClassVar[str] = "DepthART, arXiv 2607.17099; https://github.com/xuefeng-cvr/DepthART"
    depth_kind = DepthKind.AFFINE_DISPARITY
    any_kind = True
    bounded = False

    def __init__(
        self, location: str | None = None, *, max_depth: float = 10_000.0, pretrained: Pretrained = False
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing or does not fit, or pretrained weights cannot be had.
        """
        super().__init__()
        read = self.checkpoint(location)
        self.normalise = Normalise()
        with drawing(read):
            self.network = DepthArtNet(pretrained=encoder_start(pretrained, read))
        self.fill(read)
        self.depth_range = (0.0, check_farthest(max_depth))
        self.read_out = ReadOut(resize="bilinear-corners")
        self.architecture = f"depthart,max_depth={max_depth:.12g}"
        self.taps = _taps()
        if read is not None:
            self.made_for = DEPTHART[224 if "224" in read.path.name else 448]

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        return "depthart"

    def forward(self, image: Tensor) -> Prediction:
        """Predict inverse depth at the image's size."""
        return Prediction(depth=self.network(self.normalise(image)), kind=self.depth_kind)


DepthArtTeacher = teacher_of(DepthArt)


def _taps() -> dict[str, Tap]:
    encoder = ("act1", "blocks.0", "blocks.1", "blocks.2", "blocks.3")
    taps = {
        f"enc{i + 1}": Tap(module=f"network.pretrained.{module}", stride=2 << i, channels=channels)
        for i, (module, channels) in enumerate(zip(encoder, CHANNELS, strict=True))
    }
    decoder = ("full_pointwise", "refine2", "refine4", "refine8")
    for i, (module, channels) in enumerate(zip(decoder, DECODER, strict=True)):
        taps[f"dec{4 - i}"] = Tap(module=f"network.depth_head.{module}", stride=1 << i, channels=channels)
    taps["pre_head"] = taps["dec4"]
    return taps
