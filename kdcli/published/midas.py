"""MiDaS v2.1 small: relative inverse depth of anything, with 21.3 million parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from kdcli.networks.midas import DECODER, ENCODER, MidasSmallNet
from kdcli.networks.normalise import Normalise
from kdcli.published.base import Published, check_farthest, drawing, encoder_start, to_multiple
from kdcli.published.facts import MIDAS_SMALL
from kdcli.published.teacher import teacher_of
from kdcli.types import DepthKind, Prediction, Pretrained, ReadOut, Tap


class MidasSmall(Published):
    """MiDaS v2.1 small: inverse depth up to scale and offset, at the image's size in multiples of 32.

    The location is midas_v21_small_256.pt of isl-org/MiDaS; without one it is a student to train, and
    ``pretrained=true`` begins with ImageNet weights in the encoder. A student gives what its teacher does, inverse
    depth or metres, but no negative numbers; ``max_depth`` is the largest number it is meant to give. The authors
    resize images so that the longer side has 256 pixels; larger ones work, but the network sees less of them at once.
    """

    title: ClassVar[str] = "MiDaS v2.1 small"
    licence: ClassVar[str] = "MIT"
    reference: ClassVar[str] = "MiDaS, arXiv 1907.01341; https://github.com/isl-org/MiDaS"
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
            self.network = MidasSmallNet(pretrained=encoder_start(pretrained, read))
        self.fill(read)
        self.depth_range = (0.0, check_farthest(max_depth))
        self.read_out = ReadOut(resize="bicubic")
        self.made_for = None if read is None else MIDAS_SMALL
        self.architecture = f"midas-small,max_depth={max_depth:.12g}"
        self.taps = _taps()

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        return "midas-small"

    def forward(self, image: Tensor) -> Prediction:
        """Predict inverse depth at the size that the network sees: the image's in multiples of 32."""
        return Prediction(depth=self.network(self.normalise(to_multiple(image, 32))), kind=self.depth_kind)


MidasSmallTeacher = teacher_of(MidasSmall)


def _taps() -> dict[str, Tap]:
    taps = {
        f"enc{i}": Tap(module=f"network.pretrained.layer{i}", stride=2 << i, channels=channels)
        for i, channels in enumerate(ENCODER, start=1)
    }
    for i in range(4, 0, -1):
        channels = max(DECODER[i - 1] // 2, DECODER[0])
        taps[f"dec{5 - i}"] = Tap(module=f"network.scratch.refinenet{i}", stride=1 << i, channels=channels)
    taps["pre_head"] = Tap(module="network.scratch.output_conv.3", stride=1, channels=32)
    return taps
