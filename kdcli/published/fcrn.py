"""FCRN: ResNet with up-projections, the teacher with 63.6 and the student with 13.7 million parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdcli.networks.fcrn import ENCODERS, FcrnNet
from kdcli.published.base import Published, backbone_of, check_farthest, drawing, encoder_start, resize_corners
from kdcli.published.facts import made_for
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, Pretrained, ReadOut, Tap

Backbone = Literal["resnet50", "resnet18"]

_MARKS: dict[Backbone, str] = {"resnet50": "layer1.0.conv3.weight", "resnet18": "layer1.0.conv2.weight"}
"""Backbone -> a tensor that its checkpoints hold; the first that is there counts."""


class Fcrn(Published):
    """FCRN with UpProj decoder (``backbone=resnet50`` or ``resnet18``): metric depth at the image's size.

    The location is a checkpoint of fangchangma/sparse-to-dense.pytorch, brought to plain tensors with
    ``kdcli weights convert``: the released files hold whole Python objects. It tells its backbone. Without one it is a
    student to train, on resnet50 unless given;
    ``pretrained=true`` begins with ImageNet weights in the encoder. Trained on 228 x 304; other sizes work.
    """

    title: ClassVar[str] = "FCRN"
    licence: ClassVar[str] = "none stated"
    reference: ClassVar[str] = "FCRN, arXiv 1606.00373; https://github.com/fangchangma/sparse-to-dense.pytorch"
    any_kind = True
    bounded = False

    def __init__(
        self, location: str | None = None, *, backbone: Backbone | None = None,
        max_depth: float = 10.0, pretrained: Pretrained = False,
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing or does not fit, or pretrained weights cannot be had.
        """
        super().__init__()
        read = self.checkpoint(location)
        chosen = backbone_of(read, backbone, _MARKS, self.title)
        with drawing(read):
            self.network = FcrnNet(chosen, pretrained=encoder_start(pretrained, read))
        self.fill(read)
        self.depth_range = (0.0, check_farthest(max_depth))
        self.read_out = ReadOut(resize="bilinear-corners")
        self.made_for = made_for(self.title, read, max_depth, self.depth_range)
        self.architecture = f"fcrn,backbone={chosen},max_depth={max_depth:.12g}"
        self.taps = _taps(ENCODERS[chosen][1])

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        return f"fcrn-{options.get('backbone') or 'resnet50'}-nyu"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at the image's size; the network itself ends with that resize."""
        depth = resize_corners(self.network(image), image.shape[-2:])
        return Prediction(depth=depth, kind=self.depth_kind)


FcrnTeacher = teacher_of(Fcrn)


def _taps(deepest: int) -> dict[str, Tap]:
    taps = {f"enc{i + 1}": Tap(module=f"network.layer{i + 1}", stride=4 << i, channels=deepest >> (3 - i))
            for i in range(4)}
    for i in range(4):
        taps[f"dec{i + 1}"] = Tap(module=f"network.decoder.layer{i + 1}", stride=16 >> i, channels=deepest >> (i + 2))
    taps["pre_head"] = Tap(module="network.decoder", stride=2, channels=deepest >> 5)
    return taps
