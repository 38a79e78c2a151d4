"""ZipDepth: relative inverse depth of anything, with 6.8 million parameters, 6.1 when it only runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import WeightsError
from kdcli.networks.normalise import IMAGENET_MEAN, IMAGENET_STD, Normalise
from kdcli.networks.zipdepth import SIZES, Size, Variant, ZipDepthNet
from kdcli.networks.zipdepth_decoder import Head
from kdcli.networks.zipdepth_layouts import Layout, layout_of
from kdcli.published.base import Checkpoint, Published, check_farthest, drawing, to_multiple
from kdcli.published.facts import ZIPDEPTH
from kdcli.published.teacher import teacher_of
from kdcli.types import POSITIVE_DEPTH, DepthKind, Prediction, ReadOut, Tap

_WIDTH = "encoder.stem_quarter.conv.weight"
"""A tensor whose length is that of the first stage: it tells the variant."""

_HEADS: Mapping[Head, str] = {
    "convex": "decoder.convex_up.mask_pred.0.weight", "npu": "decoder.convex_up.where_conv.0.weight",
}
"""Head -> a tensor that only its checkpoints have."""

_CONSTANTS = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
"""What the authors' checkpoints hold of the normalisation."""


class ZipDepth(Published):
    """ZipDepth: inverse depth up to scale and offset, at the image's size in multiples of 32.

    The location is zipdepth_base.pth or zipdepth_base_npu.pth of fabiotosi92/ZipDepth, or what its trainer writes; the
    file tells the head (``convex``, or ``npu`` for accelerators that cannot gather neighbours), the variant and whether
    its branches are fused. Without one it is a student to train: ``base`` and ``convex`` unless given, from random
    weights, since there are none of an encoder alone. A student gives what its teacher does, inverse depth or metres,
    but no negative numbers; ``max_depth`` is the largest number it is meant to give. What is exported is the fused
    form. The authors resize images so that the shorter side has 384 pixels.
    """

    title: ClassVar[str] = "ZipDepth"
    licence: ClassVar[str] = "MIT"
    reference: ClassVar[str] = "ZipDepth, arXiv 2607.08771; https://github.com/fabiotosi92/ZipDepth"
    depth_kind = DepthKind.AFFINE_DISPARITY
    any_kind = True
    bounded = False

    def __init__(
        self, location: str | None = None, *, variant: Variant | None = None, head: Head | None = None,
        layout: Layout | None = None, max_depth: float = 10_000.0,
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            WeightsError: the checkpoint is missing, does not fit or is of another variant, head or layout.
        """
        super().__init__()
        read = self.checkpoint(location)
        if read is None:
            variant, head, layout = variant or "base", head or "convex", layout or "branches"
        else:
            variant, head, layout = _held(read, variant, head, layout)
        self.normalise = Normalise()
        with drawing(read):
            self.network = ZipDepthNet(variant, head, layout)
        self.fill(read, None if read is None else _without_constants(read))
        self.depth_range = (0.0, check_farthest(max_depth))
        self.read_out = ReadOut(resize="bilinear-corners")
        self.architecture = (
            f"zipdepth,variant={variant},head={head},layout={layout},max_depth={self.depth_range[1]:.12g}"
        )
        self.taps = _taps(SIZES[variant])
        if read is not None:
            self.made_for = ZIPDEPTH

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for.

        Raises:
            WeightsError: there are none of this variant.
        """
        if (variant := options.get("variant")) not in (None, "base"):
            raise WeightsError(f"no weights of ZipDepth of variant {variant} were released; use base, or give a file")
        return "zipdepth-npu" if options.get("head") == "npu" else "zipdepth"

    def forward(self, image: Tensor) -> Prediction:
        """Predict at the size that the network sees: the image's in multiples of 32."""
        raw = self.network(self.normalise(to_multiple(image, 32)))
        # The authors' ReLU is for inverse depth, where zero is far away. Of depth itself zero has no logarithm, and a
        # pixel that got there no gradient to come back by.
        depth = functional.softplus(raw) if self.depth_kind in POSITIVE_DEPTH else torch.relu(raw)
        return Prediction(depth=depth, kind=self.depth_kind)


ZipDepthTeacher = teacher_of(ZipDepth)


def _held(
    read: Checkpoint, variant: Variant | None, head: Head | None, layout: Layout | None
) -> tuple[Variant, Head, Layout]:
    """Return what a checkpoint holds.

    Raises:
        WeightsError: it holds none of them, or another one than was asked for.
    """
    width = read.state[_WIDTH].shape[:1] if _WIDTH in read.state else None
    sized: Variant | None = next((name for name, size in SIZES.items() if width == size.widths[:1]), None)
    headed: Head | None = next((name for name, tensor in _HEADS.items() if tensor in read.state), None)
    if sized is None or headed is None:
        lacks = " or ".join(_HEADS.values())
        if sized is None:
            lacks = _WIDTH if width is None else f"{_WIDTH} of a known width"
        raise WeightsError(
            f"'{read.path}' is no checkpoint of ZipDepth: it has no {lacks}; give one of fabiotosi92/ZipDepth"
        )
    held = layout_of(read.state)
    for word, asked, found in (("variant", variant, sized), ("head", head, headed), ("layout", layout, held)):
        if asked not in (None, found):
            raise WeightsError(
                f"'{read.path}' holds ZipDepth with {word} {found}, not {asked}; leave out {word}={asked}"
            )
    return sized, headed, held


def _without_constants(read: Checkpoint) -> dict[str, Tensor]:
    """Return the weights without the normalisation, which is ours.

    Raises:
        WeightsError: it is another one.
    """
    for name, known in _CONSTANTS.items():
        given = read.state.get(name)
        if given is not None and not (
            given.numel() == 3 and torch.allclose(given.float().flatten(), torch.tensor(known), atol=1e-3)
        ):
            raise WeightsError(
                f"'{read.path}' normalises images by another {name} than ImageNet's; get the file again"
            )
    return {name: value for name, value in read.state.items() if name not in _CONSTANTS}


def _taps(size: Size) -> dict[str, Tap]:
    taps = {
        f"enc{i + 1}": Tap(module=f"network.encoder.{module}", stride=4 << i, channels=channels)
        for i, (module, channels) in enumerate(zip(("stage1", "stage2", "stage3", "spp"), size.widths, strict=True))
    }
    widths = (3 * size.decoder, 2 * size.decoder, int(1.5 * size.decoder), size.decoder)
    for i, (module, channels) in enumerate(zip(("proj4", "fuse3", "fuse2", "fuse1"), widths, strict=True)):
        taps[f"dec{i + 1}"] = Tap(module=f"network.decoder.{module}", stride=32 >> i, channels=channels)
    taps["pre_head"] = Tap(module="network.decoder.fuse_half", stride=2, channels=size.half)
    return taps
