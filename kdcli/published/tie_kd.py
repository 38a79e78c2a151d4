"""The students of TIE-KD, as their authors released them or to be trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from kdcli.errors import SpecError, WeightsError
from kdcli.networks.heads import check_range
from kdcli.networks.normalise import Normalise
from kdcli.networks.tie_kd import LAYOUTS, RESPONSE_BINS, TieKdNet
from kdcli.published.base import Checkpoint, Published, drawing
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, ReadOut, Tap
from kdcli.weights.rename import Rule, rename

MIN_DEPTH = 1e-3
RANGES = {"kitti": (80.0, 257), "nyu": (10.0, 49)}
"""Data set -> greatest depth in metres, number of bins."""

_MARKS = {"mobilenet_v2": "backbone.conv1.conv.weight", "resnet18": "backbone.layer4.1.conv2.weight",
          "resnet50": "backbone.layer4.1.conv3.weight"}
_CLASSIFY = "decode_head.conv_out.0.weight"
_ADVICE = "give a student of HPC-Lab-KOREATECH/TIE-KD"


class TieKd(Published):
    """TIE-KD student (``backbone=mobilenet_v2``, ``resnet18``, ``resnet50``): metric depth at the image's size.

    ``head=dpm`` gives a distribution over uniform bins (``probs`` and ``centers``) and depth as its expectation,
    ``head=response`` depth alone. ``dataset=kitti`` is 257 bins to 80 m, ``nyu`` 49 bins to 10 m; ``bins`` and
    ``max_depth`` change either. A checkpoint of HPC-Lab-KOREATECH/TIE-KD as location tells all of that but the data set
    of a response head, for which a file name with kitti in it counts. Without one it is a student to train: by default
    MobileNetV2 with bins, for the data set that ``max_depth`` fits (nyu up to 20 m); ``pretrained=true`` begins with
    ImageNet weights in the backbone.
    """

    title: ClassVar[str] = "TIE-KD"
    licence: ClassVar[str] = "Apache-2.0"
    reference: ClassVar[str] = "TIE-KD, arXiv 2402.14340; https://github.com/HPC-Lab-KOREATECH/TIE-KD"

    def __init__(
        self, location: str | None = None, *, backbone: Literal["mobilenet_v2", "resnet18", "resnet50"] | None = None,
        head: Literal["dpm", "response"] | None = None, dataset: Literal["kitti", "nyu"] | None = None,
        max_depth: float | None = None, bins: int | None = None, pretrained: bool = False,
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing, does not fit or is of another variant than was asked for, or
                pretrained weights cannot be had. SpecError: a range or a number of bins that does not hold.
        """
        super().__init__()
        read = self.checkpoint(location)
        held = _told_by(read, max_depth)
        asked = {"backbone": backbone, "head": head, "dataset": dataset}
        if read is not None:
            _agree(read.path, held, asked)
        chosen = {key: asked[key] or held[key] for key in held}
        far, count = RANGES[chosen["dataset"]]
        far, count = far if max_depth is None else max_depth, count if bins is None else bins
        check_range(MIN_DEPTH, far)
        if count < 2:
            raise SpecError(f"bins={count} is too few for a distribution; use 2 or more, for example 257")
        self.normalise = Normalise()
        with drawing(read):
            self.network = TieKdNet(chosen["backbone"], chosen["head"], bins=count, min_depth=MIN_DEPTH, max_depth=far,
                                    pretrained=pretrained and read is None)
        if read is not None:
            rules = _MOBILENET if chosen["backbone"] == "mobilenet_v2" else _RESNET
            self.fill(read, rename(read.state, rules, read.path, network="TIE-KD", advice=_ADVICE))
        self.depth_range = (MIN_DEPTH if chosen["head"] == "dpm" else 0.0, far)
        self.read_out = ReadOut(clip=(MIN_DEPTH, far), resize="bilinear-corners", flip=True)
        self.architecture = f"tie-kd,max_depth={far:g},bins={count}," + ",".join(f"{k}={v}" for k, v in chosen.items())
        self.taps = _taps(chosen["backbone"])

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        dataset = options.get("dataset") or _dataset_for(options.get("max_depth"))
        return f"tie-kd-{(options.get('backbone') or 'mobilenet_v2').replace('_', '')}-{dataset}"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at the image's size, for sizes that are multiples of four; others are rounded up."""
        said = self.network(self.normalise(image))
        return Prediction(depth=said.depth, kind=self.depth_kind, probs=said.probs, centers=said.centers)


TieKdTeacher = teacher_of(TieKd)


def _dataset_for(max_depth: float | None) -> str:
    return "kitti" if max_depth is not None and max_depth > 20 else "nyu"


def _told_by(read: Checkpoint | None, max_depth: float | None) -> dict[str, str]:
    """Return backbone, head and data set of a checkpoint; without one the defaults.

    Raises:
        WeightsError: no checkpoint of TIE-KD.
    """
    if read is None:
        return {"backbone": "mobilenet_v2", "head": "dpm", "dataset": _dataset_for(max_depth)}
    backbone = next((name for name in ("mobilenet_v2", "resnet50", "resnet18") if _MARKS[name] in read.state), None)
    if backbone is None or _CLASSIFY not in read.state:
        raise WeightsError(f"'{read.path}' is no checkpoint of TIE-KD; {_ADVICE}")
    rows = read.state[_CLASSIFY].shape[0]
    by_bins = next((dataset for dataset, (_, bins) in RANGES.items() if bins == rows), None)
    by_name = "kitti" if "kitti" in Path(read.path).name.lower() else _dataset_for(max_depth)
    return {"backbone": backbone, "head": "response" if rows == RESPONSE_BINS else "dpm", "dataset": by_bins or by_name}


def _agree(path: Path, held: Mapping[str, str], asked: Mapping[str, str | None]) -> None:
    """Refuse options that a checkpoint contradicts; the data set of a response head is nowhere in it.

    Raises:
        WeightsError: it does contradict one.
    """
    for key, value in asked.items():
        known = key != "dataset" or held["head"] == "dpm"
        if known and value not in (None, held[key]):
            raise WeightsError(f"'{path}' holds a TIE-KD student with {key}={held[key]}; leave out {key}={value}")


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
    where = [f"blocks.{i}" for i in (1, 2, 4, 6)] if mobile else ["bn1", *(f"layer{i}" for i in (1, 2, 3, 4))]
    strides = (4, 8, 8, 8) if mobile else (2, 4, 8, 16, 32)
    taps = {
        f"enc{i + 1}": Tap(module=f"network.backbone.{module}", stride=stride, channels=channels)
        for i, (module, stride, channels) in enumerate(zip(where, strides, reversed(layout.skips), strict=True))
    }
    for i, (stride, channels) in enumerate(zip(reversed(strides), layout.widths, strict=True)):
        taps[f"dec{i + 1}"] = Tap(module=f"network.decode_head.conv_list.{i}", stride=stride, channels=channels)
    taps["pre_head"] = Tap(module="network.decode_head", stride=1, channels=layout.widths[-1])
    return taps
