"""BTS: ResNet-50 or DenseNet-161 with local planar guidance, 49.5 and 47.0 million parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdcli.errors import SpecError, WeightsError
from kdcli.networks.bts import ENCODERS, BtsNet
from kdcli.networks.normalise import Normalise
from kdcli.published.base import Checkpoint, Published, drawing, encoder_start, to_multiple
from kdcli.published.facts import made_for
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, Pretrained, ReadOut, Tap
from kdcli.weights.rename import Rule, rename

Backbone = Literal["resnet50", "densenet161"]
Layout = Literal["official", "toolbox"]

FOCAL = 715.0873
"""Focal length in pixels that depth of the authors' KITTI networks is meant for."""

DRIVING = 20.0
"""Metres; a network that reaches further is one for KITTI."""

_MARKS: dict[tuple[Layout, Backbone], str] = {
    ("official", "resnet50"): "encoder.base_model.conv1.weight",
    ("official", "densenet161"): "encoder.base_model.conv0.weight",
    ("toolbox", "resnet50"): "decode_head.reduc8x8.reduc.plane_params.weight",
}
"""Layout and backbone -> a tensor that only such checkpoints hold."""

_RULES: dict[Layout, list[Rule]] = {
    "official": [(r"(encoder|decoder)\.", r"\1.")],
    "toolbox": [
        (r"backbone\.", "encoder.base_model."), (r"decode_head\.conv_depth\.", "decoder.get_depth.0."),
        (r"decode_head\.", "decoder."),
    ],
}

_TOOLBOX = "BTS, arXiv 1907.10326; https://github.com/zhyever/Monocular-Depth-Estimation-Toolbox"

_ADVICE = "give one of cleinc/bts or of zhyever/Monocular-Depth-Estimation-Toolbox"


class Bts(Published):
    """BTS (``backbone=resnet50`` or ``densenet161``): metric depth at the image's size, to the nearest multiples of 32.

    The location is a checkpoint of cleinc/bts (``layout=official``) or of zhyever/Monocular-Depth-Estimation-Toolbox
    (``layout=toolbox``, resnet50); it tells layout and backbone. Its greatest depth is 80 m where the file's name says
    kitti or eigen, otherwise 10 m, or what ``max_depth`` says. Without one it is a student to train, official on
    resnet50 unless given; ``pretrained=true`` begins with ImageNet weights in the encoder.

    Depth of official KITTI weights is meant for a focal length of 715.0873 pixels. Evaluation, prediction and the
    targets of a run multiply it by that of the camera over this, where the camera is known. ``focal=`` (pixels of the
    image as the network sees it; 721.5 for most of KITTI) names one for all images: depth is then meant for it.
    """

    title: ClassVar[str] = "BTS"
    licence: ClassVar[str] = "GPL-3.0-or-later"
    reference: ClassVar[str] = "BTS, arXiv 1907.10326; https://github.com/cleinc/bts"
    any_kind = True

    def __init__(
        self, location: str | None = None, *, backbone: Backbone | None = None, max_depth: float | None = None,
        layout: Layout | None = None, focal: float | None = None, pretrained: Pretrained = False,
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing, does not fit or is of another backbone or layout, or pretrained
                weights cannot be had.
            SpecError: a depth range that does not hold, a focal length that does not or that changes nothing, or a
                layout that lacks the backbone.
        """
        super().__init__()
        read = self.checkpoint(location)
        layout, backbone = _variant(read, layout, backbone)
        farthest = _farthest(read) if max_depth is None else max_depth
        if not 0 < farthest < math.inf:
            raise SpecError(f"max_depth={farthest:g} is no depth; use 10 for indoor weights, 80 for driving")
        if focal is not None and not 0 < focal < math.inf:
            raise SpecError(f"focal={focal:g} is no focal length; give it in pixels, or leave it out")
        official = layout == "official"
        if focal is not None and not (official and farthest > DRIVING):
            raise SpecError("only depth of official KITTI networks depends on the focal length; leave out focal=")
        self.normalise = Normalise()
        with drawing(read):
            self.network = BtsNet(
                backbone, max_depth=farthest, classifier=official, bias=not official,
                pretrained=encoder_start(pretrained, read),
            )
        if read is not None:
            called = f"BTS on {backbone}, layout {layout}"
            self.fill(read, rename(read.state, _RULES[layout], read.path, network=called, advice=_ADVICE))
            if not official:
                self.provenance = replace(self.provenance, licence="Apache-2.0", notes=_TOOLBOX)
        self.factor = 1.0 if focal is None else focal / FOCAL
        self.depth_range = (0.0, farthest * self.factor)
        # A student of ours learns depth as it is, for whichever camera: no focal length is to be undone.
        pending = read is not None and official and farthest > DRIVING and focal is None
        self.read_out = (
            ReadOut(focal=FOCAL if pending else None) if official else ReadOut(clip=(1e-3, farthest), flip=True)
        )
        self.made_for = made_for(self.title, read, farthest, self.depth_range)
        self.architecture = f"bts,backbone={backbone},max_depth={farthest:.12g},layout={layout}" + (
            "" if focal is None else f",focal={focal}"
        )
        self.taps = _taps(backbone)

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for.

        Raises:
            WeightsError: weights in the toolbox's layout are known by no name.
        """
        if options.get("layout") == "toolbox":
            raise WeightsError("no weights of BTS in the toolbox's layout are known by name; give a file")
        data = "kitti" if (options.get("max_depth") or 0.0) > DRIVING else "nyu"
        return f"bts-{options.get('backbone') or 'resnet50'}-{data}"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth, and as ``aux`` that of the planes of cells of 8, 4 and 2 pixels, all at one size.

        Planes can lie behind the camera or far away, so only the prediction itself keeps to ``depth_range``.
        """
        depth, planes = self.network(self.normalise(to_multiple(image, 32)))
        if self.factor != 1.0:
            depth, planes = depth * self.factor, tuple(plane * self.factor for plane in planes)
        return Prediction(depth=depth, kind=self.depth_kind, aux=planes)


BtsTeacher = teacher_of(Bts)


def _variant(read: Checkpoint | None, layout: Layout | None, backbone: Backbone | None) -> tuple[Layout, Backbone]:
    """Return layout and backbone of a checkpoint; without one what was asked for, official and resnet50 by default.

    Raises:
        WeightsError: the checkpoint holds none of them, or others than were asked for.
        SpecError: there is no such combination.
    """
    if read is None:
        chosen: tuple[Layout, Backbone] = (layout or "official", backbone or "resnet50")
        if chosen not in _MARKS:
            raise SpecError(f"layout={chosen[0]} is not known with {chosen[1]}; use layout=official")
        return chosen
    held = next((variant for variant, name in _MARKS.items() if name in read.state), None)
    if held is None:
        raise WeightsError(
            f"'{read.path}' is no checkpoint of BTS: none of {', '.join(_MARKS.values())} is in it; {_ADVICE}"
        )
    for option, asked, found in (("layout", layout, held[0]), ("backbone", backbone, held[1])):
        if asked not in (None, found):
            raise WeightsError(f"'{read.path}' holds BTS of {option} {found}, not {asked}; leave out {option}={asked}")
    return held


def _farthest(read: Checkpoint | None) -> float:
    """Return 80 m for names of KITTI files, which the authors name after Eigen's split of it; 10 m for others."""
    name = "" if read is None else read.path.name.lower()
    return 80.0 if "kitti" in name or "eigen" in name else 10.0


def _taps(backbone: Backbone) -> dict[str, Tap]:
    modules = {
        "resnet50": ["act1", "layer1", "layer2", "layer3", "layer4"],
        "densenet161": ["norm0", "pool0", "transition1", "transition2", "norm5"],
    }[backbone]
    taps = {
        f"enc{i + 1}": Tap(module=f"network.encoder.base_model.{module}", stride=2 << i, channels=channels)
        for i, (module, channels) in enumerate(zip(modules, ENCODERS[backbone][1], strict=True))
    }
    decoder = (("conv5", 16, 512), ("daspp_conv", 8, 128), ("conv3", 4, 128), ("conv2", 2, 64), ("conv1", 1, 32))
    for i, (module, stride, channels) in enumerate(decoder):
        taps[f"dec{i + 1}"] = Tap(module=f"network.decoder.{module}", stride=stride, channels=channels)
    taps["pre_head"] = taps["dec5"]
    return taps
