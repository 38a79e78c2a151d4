"""Any ONNX file with one image in and one depth map out, as a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError, SpecError, WeightsError
from kdcli.files import at_home, is_lfs_pointer, sha256_of
from kdcli.guard.metadata import count_of, made_for_of, range_of
from kdcli.protocols import API_VERSION
from kdcli.spec import parse_size
from kdcli.teachers.onnx_session import OnnxSession
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance, ReadOut, Tap

Kind = Literal["metric", "scale_invariant", "affine_depth", "affine_disparity"]
Range = Literal["none", "imagenet", "half", "255"]

_FAR = 1000.0
"""Upper end of the range of numbers of which nobody said how large they get."""

_SHIFT_AND_SCALE: dict[Range, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


class OnnxTeacher(nn.Module):
    """An ONNX file, run by onnxruntime: one image in, one map out; it gives no gradient to the image.

    Files of ``kdcli export`` say themselves what their numbers mean. For all others name the ``kind`` of depth, and
    how images of 0..1 are normalised first: ``none``, ``imagenet`` (mean and standard deviation), ``half`` (to -1..1)
    or ``255`` (to 0..255). ``size=HxW`` is for files that leave the size open and do not take every size; ``layout``
    is told by the shape of the input where that says where the three colours are; ``output`` is the name or number of
    the map where the file gives several. On CUDA where onnxruntime has it, on the CPU otherwise.
    """

    api_version: ClassVar[int] = API_VERSION
    bounded = False
    differentiable = False
    outside_work = True

    def __init__(
        self,
        location: str,
        *,
        kind: Kind | None = None,
        normalise: Range = "none",
        max_depth: float | None = None,
        size: str | None = None,
        layout: Literal["nchw", "nhwc"] | None = None,
        output: str | None = None,
    ) -> None:
        """Open the file.

        Args:
            location: the file.
            kind: what its numbers mean; needed where the file does not say so.
            normalise: what its input expects.
            max_depth: greatest depth in metres that counts; metric maps are cut off there.
            size: height and width that the network sees, ``HxW``.
            layout: where the colours are: second (``nchw``) or last (``nhwc``).
            output: name or number of the output.

        Raises:
            WeightsError: no such file, one that cannot be run, or not of one image in and a map out. SpecError: a key
                that is missing or does not fit the file.
        """
        super().__init__()
        path = at_home(location)
        if not path.is_file():
            raise WeightsError(f"there is no ONNX file at '{path}'; check the path")
        if is_lfs_pointer(path):
            raise WeightsError(f"'{path}' is a Git LFS pointer, not the file itself; run git lfs pull")
        self._session = OnnxSession(path, output=output, layout=layout)
        said = self._session.metadata
        self.outside_parameters = count_of(said.get("parameters"))
        self.depth_kind = _kind(kind, said, path)
        self.depth_range = _range(said, max_depth, path)
        self.taps: Mapping[str, Tap] = {}
        self.input_size = _input_size(size, self._session.size, path)
        self.made_for = _made_for(said, self.input_size, self.depth_kind, self.depth_range, path)
        self.read_out = ReadOut()
        if max_depth is not None and self.depth_kind is DepthKind.METRIC:
            self.read_out = ReadOut(clip=self.depth_range)
        if normalise != "none" and "depth_kind" in said:
            raise SpecError(f"'{path}' is of kdcli export and normalises itself; leave out normalise={normalise}")
        if self._session.bytes and normalise not in ("none", "255"):
            raise SpecError(f"'{path}' takes bytes, so that normalise={normalise} does not fit; leave it out")
        self._factors = None if self._session.bytes else _SHIFT_AND_SCALE.get(normalise)
        self.provenance = Provenance(
            name=f"onnx:{location}", weights=str(path), sha256=sha256_of(path),
            licence=said.get("licence") or said.get("license") or "unknown",
            training_data=said.get("training_data") or "unknown",
        )

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth B x 1 x h x w at the file's own output size, on the image's device.

        Raises:
            ConfigError: a gradient to the image is asked for, or the file does not take images of this size.
            WeightsError: what comes out is no map.
        """
        if image.requires_grad and torch.is_grad_enabled():
            raise ConfigError(
                "teacher 'onnx' gives no gradient to the image, which this loss or stage needs: onnxruntime computes "
                "none; use the network itself as teacher"
            )
        with torch.no_grad():
            return Prediction(depth=self._depth(image.detach().float()), kind=self.depth_kind)

    def _depth(self, image: Tensor) -> Tensor:
        fixed = self.input_size or self._session.size
        size = tuple(own if side is None else side for side, own in zip(fixed, image.shape[-2:], strict=True))
        if size != tuple(image.shape[-2:]):
            image = functional.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
        if self._factors is not None:
            mean, deviation = (image.new_tensor(values).view(3, 1, 1) for values in self._factors)
            image = (image - mean) / deviation
        return self._session(image)


def _kind(asked: Kind | None, said: Mapping[str, str], path: Path) -> DepthKind:
    """Return the kind that the user names, or else the file.

    Raises:
        SpecError: neither does.
    """
    if asked is not None and said.get("depth_kind", asked) != asked:
        raise SpecError(f"'{path}' says that it gives {said['depth_kind']}; leave out kind={asked}")
    if asked is None and said.get("depth_kind") not in list(DepthKind):
        raise SpecError(f"'{path}' does not say what its numbers mean; add kind=, one of {', '.join(DepthKind)}")
    return DepthKind(asked or said["depth_kind"])


def _range(said: Mapping[str, str], max_depth: float | None, path: Path) -> tuple[float, float]:
    """Return the range of depth: the file's, or one that excludes little; ``max_depth`` replaces its upper end.

    Raises:
        SpecError: nothing would be left.
    """
    low, high = range_of(said.get("depth_range")) or (0.0, _FAR)
    high = high if max_depth is None else max_depth
    if not low < high < float("inf"):
        raise SpecError(f"max_depth={high:g} does not fit '{path}', whose depth begins at {low:g}; give a larger one")
    return low, high


def _made_for(
    said: Mapping[str, str], size: tuple[int, int] | None, kind: DepthKind, depth_range: tuple[float, float], path: Path
) -> MadeFor | None:
    """Return what a file of ``kdcli export`` says of its model; of another its only size and its range, if they are
    known.

    Raises:
        WeightsError: what it says is damaged.
    """
    try:
        made = made_for_of(said, size) if "depth_kind" in said else None
    except ValueError as error:
        raise WeightsError(f"the metadata of '{path}' is damaged ({error}); export it again") from None
    if made is not None:
        return made
    far = depth_range[1] if kind is DepthKind.METRIC and depth_range[1] < _FAR else None
    return None if size is None and far is None else MadeFor(train_size=size, eval_size=size, far=far)


def _input_size(asked: str | None, fixed: tuple[int | None, int | None], path: Path) -> tuple[int, int] | None:
    """Return the size that every image is brought to; None where the image's own is taken.

    Raises:
        SpecError: another size than the file takes.
    """
    height, width = fixed
    if asked is None:
        return None if height is None or width is None else (height, width)
    size = parse_size(asked)
    if any(side not in (None, own) for side, own in zip(fixed, size, strict=True)):
        takes = "x".join("any" if side is None else str(side) for side in fixed)
        raise SpecError(f"'{path}' takes images of {takes}, not of {asked}; leave out size={asked}")
    return size
