"""DepthFormer: Swin transformer and convolution stem, joined by deformable attention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdcli.errors import SpecError, WeightsError
from kdcli.networks.depthformer import VARIANTS, DepthFormerNet
from kdcli.networks.normalise import Normalise
from kdcli.published.base import Checkpoint, Published, drawing
from kdcli.published.facts import made_for
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, ReadOut, Tap

MIN_DEPTH = 1e-3

COMPUTED = ".relative_position_index"
"""End of the names of tables that the network computes; files hold them too."""


class DepthFormer(Published):
    """DepthFormer (``backbone=swin-l`` or ``swin-t``): metric depth at half the image's size, rounded up.

    The location is a checkpoint of zhyever/Monocular-Depth-Estimation-Toolbox. It tells its backbone; its greatest
    depth is 80 m where the file's name says kitti, otherwise 10 m, or what ``max_depth`` says. Without a location it
    is a student to train, ``swin-l`` where ``backbone`` says nothing. Any image size works; trained on 352 x 704
    (KITTI) and 416 x 544 (NYU).
    """

    title: ClassVar[str] = "DepthFormer"
    licence: ClassVar[str] = "Apache-2.0"
    reference: ClassVar[str] = (
        "DepthFormer, arXiv 2203.14211; https://github.com/zhyever/Monocular-Depth-Estimation-Toolbox"
    )
    any_kind = True
    bounded = False

    def __init__(
        self, location: str | None = None, *, backbone: Literal["swin-l", "swin-t"] | None = None,
        max_depth: float | None = None,
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing, is of another backbone or does not fit. SpecError: a depth range
                that does not hold.
        """
        super().__init__()
        read = self.checkpoint(location)
        if max_depth is None:
            max_depth = 80.0 if read is not None and "kitti" in read.path.name.lower() else 10.0
        if not MIN_DEPTH < max_depth < math.inf:
            raise SpecError(f"max_depth={max_depth:g} is no depth; use 10 for indoor weights, 80 for driving")
        name = (backbone or "swin-l") if read is None else _backbone_of(read, backbone)
        self.normalise = Normalise()
        with drawing(read):
            self.network = DepthFormerNet(name, min_depth=MIN_DEPTH, start=max_depth / 4)
        if read is not None:
            self.fill(read, {key: value for key, value in read.state.items() if not key.endswith(COMPUTED)})
        self.depth_range = (MIN_DEPTH, max_depth)
        self.read_out = ReadOut(clip=self.depth_range, resize="bilinear-corners", flip=True)
        self.made_for = made_for(self.title, read, max_depth, self.depth_range)
        self.architecture = f"depthformer,backbone={name},max_depth={max_depth:.12g}"
        self.taps = _taps(VARIANTS[name].channels)

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        backbone = (options["backbone"] or "swin-l").replace("-", "")
        return f"depthformer-{backbone}-{'kitti' if (options['max_depth'] or 0) > 20 else 'nyu'}"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at half the image's size; it is not less than a millimetre, but has no upper bound."""
        return Prediction(depth=self.network(self.normalise(image)), kind=self.depth_kind)


DepthFormerTeacher = teacher_of(DepthFormer)


def _backbone_of(read: Checkpoint, asked: str | None) -> str:
    """Return the backbone that a checkpoint is of.

    Raises:
        WeightsError: none of those known, or another than was asked for.
    """
    patches = read.state.get("backbone.patch_embed.projection.weight")
    if patches is None:
        raise WeightsError(
            f"'{read.path}' is no checkpoint of DepthFormer: it lacks backbone.patch_embed.projection.weight; give one "
            "of zhyever/Monocular-Depth-Estimation-Toolbox"
        )
    blocks = {key.split(".")[4] for key in read.state if key.startswith("backbone.stages.2.blocks.")}
    found = next(
        (name for name, it in VARIANTS.items() if (it.width, it.depths[2]) == (len(patches), len(blocks))), None
    )
    if found is None:
        raise WeightsError(
            f"'{read.path}' holds a Swin of width {len(patches)} with {len(blocks)} blocks in stage three, which is "
            f"none of {', '.join(VARIANTS)}; give weights of one of those"
        )
    if asked not in (None, found):
        raise WeightsError(f"'{read.path}' holds {found}, not {asked}; use backbone={found}, or leave it out")
    return found


def _taps(channels: tuple[int, ...]) -> dict[str, Tap]:
    taps = {"enc1": Tap(module="network.backbone.relu", stride=2, channels=channels[0])}
    for i in range(4):
        taps[f"enc{i + 2}"] = Tap(module=f"network.backbone.norm{i}", stride=4 << i, channels=channels[i + 1])
    for i in range(1, 5):
        taps[f"dec{i}"] = Tap(module=f"network.decode_head.conv_list.{i}", stride=32 >> i, channels=channels[4 - i])
    taps["pre_head"] = Tap(module="network.decode_head.conv_list.4", stride=2, channels=channels[0])
    return taps
