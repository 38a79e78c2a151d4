"""GuideDepth: DDRNet-23-slim with a guided decoder, 5.8 million parameters, or 5.7 as GuideDepth-S."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdcli.errors import WeightsError
from kdcli.networks.guidedepth import CHANNELS, GuideDepthNet, to_depth
from kdcli.published.base import Checkpoint, Published, check_farthest, drawing, to_multiple
from kdcli.published.facts import made_for, of_size
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, ReadOut, Tap

Size = Literal["full", "s"]

_MARK = "feature_extractor.final_layer.conv2.weight"
"""A tensor whose length is that of the decoder's first map: it tells the size of the network."""


class GuideDepth(Published):
    """DDRNet-23-slim and a decoder guided by the image (``size=full`` or ``s``): metric depth at the image's size.

    The location is a checkpoint of mic-rud/GuidedDecoding, which tells its size; without one it is ``full`` unless
    given. The network gives max_depth / depth, here turned into depth between max_depth / 100 and max_depth: 80 where
    the file's name says KITTI, otherwise 10, unless ``max_depth`` is given.

    The authors trained weights for whole images (480 x 640 on NYU Depth v2, 384 x 1280 on KITTI) and for images of half
    that size, whose depth they enlarge to the whole size for evaluation: give each the size that it was trained on.
    Other sizes work, in multiples of 8.
    """

    title: ClassVar[str] = "GuideDepth"
    licence: ClassVar[str] = "none stated"
    reference: ClassVar[str] = "GuideDepth, arXiv 2203.04206; https://github.com/mic-rud/GuidedDecoding"

    def __init__(
        self, location: str | None = None, *, size: Size | None = None, max_depth: float | None = None
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing, does not fit or has another size.
        """
        super().__init__()
        read = self.checkpoint(location)
        chosen = size or "full" if read is None else _held(read, size)
        kitti = read is not None and "kitti" in read.path.name.lower()
        self.max_depth = check_farthest(max_depth if max_depth is not None else 80.0 if kitti else 10.0)
        with drawing(read):
            self.network = GuideDepthNet(chosen)
        self.fill(read)
        self.depth_range = (self.max_depth / 100, self.max_depth)
        self.read_out = ReadOut(resize="bilinear")
        self.made_for = made_for(self.title, read, self.max_depth, self.depth_range)
        if read is not None:
            self.made_for = of_size(self.made_for, read.path.name)
        self.architecture = f"guidedepth,size={chosen},max_depth={self.max_depth:.12g}"
        self.taps = _taps(chosen)

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        data = "kitti" if options.get("max_depth") == 80 else "nyu"
        return f"guidedepth-s-{data}" if options.get("size") == "s" else f"guidedepth-{data}"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at the size that the network sees: the image's in multiples of 8."""
        return Prediction(depth=to_depth(self.network(to_multiple(image, 8)), self.max_depth), kind=self.depth_kind)


GuideDepthTeacher = teacher_of(GuideDepth)


def _held(read: Checkpoint, asked: Size | None) -> Size:
    """Return the size of the network that a checkpoint holds.

    Raises:
        WeightsError: it holds none, or another than was asked for.
    """
    length = read.state[_MARK].shape[0] if _MARK in read.state and read.state[_MARK].dim() else None
    sizes: tuple[Size, ...] = ("full", "s")
    held = next((size for size in sizes if CHANNELS[size][0] == length), None)
    if held is None:
        what = f"it has no {_MARK}" if length is None else f"{_MARK} has {length} rows"
        raise WeightsError(
            f"'{read.path}' is no checkpoint of GuideDepth: {what}; give one of mic-rud/GuidedDecoding"
        )
    if asked not in (None, held):
        raise WeightsError(f"'{read.path}' holds GuideDepth of size {held}, not {asked}; leave out size={asked}")
    return held


def _taps(size: str) -> dict[str, Tap]:
    taps = {
        f"enc{i + 1}": Tap(module=f"network.feature_extractor.layer{i + 1}", stride=4 << i, channels=32 << i)
        for i in range(5)
    }
    modules = ("feature_extractor", "up_1", "up_2")
    for i, (module, channels) in enumerate(zip(modules, CHANNELS[size], strict=True)):
        taps[f"dec{i + 1}"] = Tap(module=f"network.{module}", stride=8 >> i, channels=channels)
    taps["pre_head"] = Tap(module="network.up_3.corrected", stride=1, channels=CHANNELS[size][-1])
    return taps
