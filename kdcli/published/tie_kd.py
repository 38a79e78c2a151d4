"""The students of TIE-KD, as their authors released them or to be trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdcli.errors import SpecError, WeightsError
from kdcli.networks.heads import check_bins, check_range
from kdcli.networks.normalise import Normalise
from kdcli.networks.tie_kd import LAYOUTS, RESPONSE_BINS, TieKdNet
from kdcli.published.base import Checkpoint, Published, drawing, encoder_start
from kdcli.published.facts import made_for
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, Pretrained, ReadOut, Tap
from kdcli.weights.rename import Rule, rename

MIN_DEPTH = 1e-3
RANGES = {"kitti": (80.0, 257), "nyu": (10.0, 49)}
"""Data set -> greatest depth in metres, number of bins."""

DRIVING = 20.0
"""Metres; a network that reaches further is one for KITTI."""

_MARKS = {"mobilenet_v2": "backbone.conv1.conv.weight", "resnet18": "backbone.layer4.1.conv2.weight",
          "resnet50": "backbone.layer4.1.conv3.weight"}
_CLASSIFY = "decode_head.conv_out.0.weight"
_ADVICE = "give a student of HPC-Lab-KOREATECH/TIE-KD"


class TieKd(Published):
    """TIE-KD student (``backbone=mobilenet_v2``, ``resnet18``, ``resnet50``): metric depth at the image's size.

    ``head=dpm`` gives a distribution over uniform bins (``probs`` and ``centers``) and depth as its expectation,
    ``head=response`` depth alone. ``dataset=kitti`` is 257 bins to 80 m, ``nyu`` 49 bins to 10 m; ``bins``,
    ``min_depth`` and ``max_depth`` change them, ``spacing=log`` makes the bins even in the logarithm of depth. A
    checkpoint of HPC-Lab-KOREATECH/TIE-KD as location tells its backbone, head and bins, and by 257 or 49 bins its
    data set; otherwise that is kitti where the file's name says so or ``max_depth`` exceeds 20 m, else nyu, unless
    ``dataset`` is given. Without one it is a student to train: by default MobileNetV2 with bins, for the data set that
    ``max_depth`` fits; ``pretrained=true`` begins with ImageNet weights in the backbone.
    """

    title: ClassVar[str] = "TIE-KD"
    range_options: ClassVar[tuple[str, ...]] = ("dataset",)
    licence: ClassVar[str] = "Apache-2.0"
    reference: ClassVar[str] = "TIE-KD, arXiv 2402.14340; https://github.com/HPC-Lab-KOREATECH/TIE-KD"

    def __init__(
        self, location: str | None = None, *, backbone: Literal["mobilenet_v2", "resnet18", "resnet50"] | None = None,
        head: Literal["dpm", "response"] | None = None, dataset: Literal["kitti", "nyu"] | None = None,
        min_depth: float = MIN_DEPTH, max_depth: float | None = None, bins: int | None = None,
        spacing: Literal["even", "log"] = "even", pretrained: Pretrained = False,
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing, does not fit or is of another variant than was asked for, or
                pretrained weights cannot be had. SpecError: a range or a number of bins that does not hold, or bins of
                a response head.
        """
        super().__init__()
        read = self.checkpoint(location)
        given: dict[str, Any] = {"backbone": backbone, "head": head, "dataset": dataset, "bins": bins}
        asked = {key: value for key, value in given.items() if value is not None}
        chosen = {"backbone": "mobilenet_v2", "head": "dpm", "dataset": _likely_dataset(read, max_depth)} | asked
        if read is not None:
            chosen |= _told_by(read, asked)
        far, count = RANGES[chosen["dataset"]]
        far = far if max_depth is None else max_depth
        check_range(min_depth, far)
        dpm = chosen["head"] == "dpm"
        if not dpm and bins is not None:
            raise SpecError(f"bins={bins} belongs to head=dpm, a response head has none; leave it out")
        count = chosen.pop("bins", count)
        check_bins(count)
        self.normalise = Normalise()
        with drawing(read):
            self.network = TieKdNet(chosen["backbone"], chosen["head"], bins=count, min_depth=min_depth, max_depth=far,
                                    spacing=spacing, pretrained=encoder_start(pretrained, read))
        if read is not None:
            rules = _MOBILENET if chosen["backbone"] == "mobilenet_v2" else _RESNET
            self.fill(read, rename(read.state, rules, read.path, network="TIE-KD", advice=_ADVICE))
        self.depth_range = (min_depth if dpm else 0.0, far)
        self.read_out = ReadOut(clip=(min_depth, far), resize="bilinear-corners", flip=True)
        self.made_for = made_for(self.title, read, far, self.depth_range)
        resolved = {"max_depth": f"{far:.12g}", **({"bins": count} if dpm else {}), **chosen}
        if min_depth != MIN_DEPTH:
            resolved["min_depth"] = f"{min_depth:.12g}"
        if spacing != "even":
            resolved["spacing"] = spacing
        self.architecture = ",".join(["tie-kd", *(f"{key}={value}" for key, value in resolved.items())])
        self.taps = _taps(chosen["backbone"])

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for.

        Raises:
            WeightsError: those of a response head are known by no name.
        """
        if options.get("head") == "response":
            raise WeightsError("no weights of a TIE-KD student with a response head are known by name; give a file")
        dataset = options.get("dataset") or _likely_dataset(None, options.get("max_depth"))
        return f"tie-kd-{(options.get('backbone') or 'mobilenet_v2').replace('_', '')}-{dataset}"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at the image's size, for sizes that are multiples of four; others are rounded up."""
        said = self.network(self.normalise(image))
        return Prediction(depth=said.depth, kind=self.depth_kind, probs=said.probs, centers=said.centers)


TieKdTeacher = teacher_of(TieKd)


def _likely_dataset(read: Checkpoint | None, max_depth: float | None) -> str:
    """Return the data set where neither an option nor a number of bins tells it."""
    named = read is not None and "kitti" in read.path.name.lower()
    return "kitti" if named or (max_depth is not None and max_depth > DRIVING) else "nyu"


def _told_by(read: Checkpoint, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint tells: backbone and head, with bins their number, and the data set if that tells it.

    Raises:
        WeightsError: no checkpoint of TIE-KD, or one that contradicts what was asked for.
    """
    backbone = next((name for name in ("mobilenet_v2", "resnet50", "resnet18") if _MARKS[name] in read.state), None)
    if backbone is None or _CLASSIFY not in read.state:
        raise WeightsError(f"'{read.path}' is no checkpoint of TIE-KD; {_ADVICE}")
    rows = len(read.state[_CLASSIFY])
    told: dict[str, Any] = {"backbone": backbone, "head": "dpm", "bins": rows}
    if known := [dataset for dataset, (_, bins) in RANGES.items() if bins == rows]:
        told["dataset"] = known[0]
    # As many bins as the unused layer of a response head has are believed only to who asks for both.
    if rows == RESPONSE_BINS and not (asked.get("head") == "dpm" and asked.get("bins") == rows):
        told = {"backbone": backbone, "head": "response"}
    for key, value in asked.items():
        if told.get(key, value) != value:
            raise WeightsError(f"'{read.path}' holds a TIE-KD student with {key}={told[key]}; leave out {key}={value}")
    return told


def _mobilenet_rules() -> list[Rule]:
    """Return how the names of MobileNetV2 in mmcv's style become timm's."""
    rules = [(r"backbone\.conv1\.conv\.", "backbone.conv_stem."), (r"backbone\.conv1\.bn\.", "backbone.bn1.")]
    for stage in range(1, 8):
        # The first stage does not widen, so it lacks the first of the three convolutions.
        parts = ("conv_dw", "conv_pw") if stage == 1 else ("conv_pw", "conv_dw", "conv_pwl")
        for i, part in enumerate(parts):
            begin = rf"backbone\.layer{stage}\.(\d+)\.conv\.{i}\."
            rules += [(begin + r"conv\.", rf"backbone.blocks.{stage - 1}.\1.{part}."),
                      (begin + r"bn\.", rf"backbone.blocks.{stage - 1}.\1.bn{i + 1}.")]
    return [*rules, (r"decode_head\.", "decode_head.")]


_MOBILENET = _mobilenet_rules()
_RESNET: list[Rule] = [(r"(backbone|decode_head)\.", r"\1.")]


def _taps(backbone: str) -> dict[str, Tap]:
    layout, mobile = LAYOUTS[backbone], backbone == "mobilenet_v2"
    where = [f"blocks.{i}" for i in (1, 2, 4, 6)] if mobile else ["act1", *(f"layer{i}" for i in (1, 2, 3, 4))]
    strides = (4, 8, 8, 8) if mobile else (2, 4, 8, 16, 32)
    taps = {
        f"enc{i + 1}": Tap(module=f"network.backbone.{module}", stride=stride, channels=channels)
        for i, (module, stride, channels) in enumerate(zip(where, strides, reversed(layout.skips), strict=True))
    }
    for i, (stride, channels) in enumerate(zip(reversed(strides), layout.widths, strict=True)):
        taps[f"dec{i + 1}"] = Tap(module=f"network.decode_head.conv_list.{i}", stride=stride, channels=channels)
    taps["pre_head"] = Tap(module="network.decode_head", stride=1, channels=layout.widths[-1])
    return taps
