"""AdaBins, of its authors and of the Monocular-Depth-Estimation-Toolbox: depth as an expectation over adaptive bins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import ConfigError, SpecError, WeightsError
from kdcli.networks.adabins import CHANNELS, PATCH, POSITIONS, QUERIES, AdaBinsNet, Layout
from kdcli.networks.normalise import Normalise
from kdcli.published.base import Checkpoint, Published, drawing, encoder_start
from kdcli.published.facts import made_for
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, Pretrained, ReadOut, Tap
from kdcli.weights.rename import Rule, rename

MIN_DEPTH = 1e-3

TRAINED_PATCHES = 13 * 17
"""Patches of 32 x 32 pixels of the images that the indoor weights were trained on, 416 x 544."""

TOOLBOX = "https://github.com/zhyever/Monocular-Depth-Estimation-Toolbox"


class AdaBins(Published):
    """AdaBins: metric depth at half the image's size, with the distribution over bins.

    As a teacher, ``adabins`` looks for the authors' indoor weights (``adabins-nyu``), ``adabins,max_depth=80`` for
    those of driving (``adabins-kitti``), ``adabins:FILE`` takes a file of the authors or of the
    Monocular-Depth-Estimation-Toolbox, whose decoder is another one; the file tells which. Its greatest depth is 80 m
    where the file's name says kitti, otherwise 10 m, or what ``max_depth`` says.

    Without weights it is a student to train, with the authors' decoder unless ``layout=toolbox``; ``pretrained=true``
    begins with ImageNet weights in the encoder. The transformer's dropout (0.1 in the originals) is left out, also in
    training. Images with too few patches for the network are enlarged inside to about the size that it was trained
    on, 416 x 544; for that reason exported files take one size.
    """

    title: ClassVar[str] = "AdaBins"
    licence: ClassVar[str] = "GPL-3.0"
    reference: ClassVar[str] = "AdaBins, arXiv 2011.14141, https://github.com/shariqfarooq123/AdaBins"

    def __init__(
        self, location: str | None = None, *, max_depth: float | None = None, layout: Layout | None = None,
        pretrained: Pretrained = False,
    ) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Args:
            location: file of weights, or a name in ``kdcli weights list``.
            max_depth: greatest depth in metres, which the file does not tell: 80 when the file's name says kitti,
                otherwise 10.
            layout: whose decoder; None is the checkpoint's, or the authors'.
            pretrained: begin with ImageNet weights in the encoder; a checkpoint replaces them.

        Raises:
            WeightsError: the checkpoint is missing, does not fit or has another layout, or pretrained weights cannot be
                had. SpecError: a depth range that does not hold.
        """
        super().__init__()
        if max_depth is None:
            max_depth = 80.0 if location is not None and "kitti" in Path(location).name.lower() else 10.0
        if not MIN_DEPTH < max_depth < math.inf:
            raise SpecError(f"max_depth={max_depth:g} is no depth; use 10 for the indoor weights, 80 for driving")
        read = self.checkpoint(location)
        if read is not None:
            held = layout_of(read.state)
            if layout not in (None, held):
                raise WeightsError(f"'{read.path}' holds AdaBins in the {held} layout; leave out layout={layout}")
            layout = held
            if layout == "toolbox":
                self.provenance = replace(self.provenance, licence="Apache-2.0", notes=f"{self.reference}; {TOOLBOX}")
        layout = layout or "official"
        self.normalise = Normalise()
        with drawing(read):
            self.network = AdaBinsNet(
                layout, min_depth=MIN_DEPTH, max_depth=max_depth, pretrained=encoder_start(pretrained, read)
            )
        if read is not None:
            self.fill(read, convert(read))
        self.depth_range = (MIN_DEPTH, max_depth)
        self.read_out = ReadOut(clip=self.depth_range, resize="bilinear-corners", flip=True)
        self.made_for = made_for(self.title, read, max_depth, self.depth_range)
        self.architecture = f"adabins,layout={layout},max_depth={max_depth:.12g}"
        self.taps = _taps()
        self.input_size = fitting_size

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for.

        Raises:
            WeightsError: the toolbox's, which have no name.
        """
        if options["layout"] == "toolbox":
            raise WeightsError(
                f"no weights of the toolbox's AdaBins are known by name; get a file from {TOOLBOX} "
                "and give it, as in adabins:FILE"
            )
        return "adabins-kitti" if (options["max_depth"] or 0) > 20 else "adabins-nyu"

    def forward(self, image: Tensor) -> Prediction:
        """Predict metric depth of B x 3 x H x W in 0..1, with ``probs`` and ``centers``.

        Raises:
            ConfigError: the image has more patches than the network's table of positions, or its size is left open.
        """
        height, width = image.shape[-2:]
        if isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt):
            raise ConfigError("how much AdaBins enlarges an image depends on its size, which must be fixed")
        size = fitting_size(height, width)
        if size != (height, width):
            image = functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
        bins = self.network(self.normalise(image))
        return Prediction(depth=bins.depth, kind=self.depth_kind, probs=bins.probs, centers=bins.centers)


AdaBinsTeacher = teacher_of(AdaBins)


def fitting_size(height: int, width: int) -> tuple[int, int]:
    """Return the size at which the network sees an image: its own, or a larger one when it has too few patches.

    Raises:
        ConfigError: it has more patches than the network knows positions.
    """
    step = 2 * PATCH
    count = (height // step) * (width // step)
    if count > POSITIONS:
        factor = math.sqrt(POSITIONS / count)
        fits = f"{int(height * factor) // step * step}x{int(width * factor) // step * step}"
        raise ConfigError(
            f"AdaBins takes at most {POSITIONS} patches of {step}x{step} pixels, an image of {height}x{width} has "
            f"{count}; make it smaller, for example --size {fits}"
        )
    if count > QUERIES:
        return height, width
    factor = math.sqrt(TRAINED_PATCHES * step * step / (height * width))
    rows, columns = (max(1, round(edge * factor / step)) for edge in (height, width))
    # Very long images: rounding the short edge must not lose the patches again.
    while rows * columns <= QUERIES:
        rows, columns = (rows + 1, columns) if height < width else (rows, columns + 1)
    return rows * step, columns * step


def layout_of(state: Mapping[str, Tensor]) -> Layout:
    """Return whose names these are; a foreign file counts as the authors', and is refused as one of theirs."""
    toolbox = any(key.startswith(("decode_head.", "backbone.original_model.")) for key in state)
    return "toolbox" if toolbox else "official"


def convert(read: Checkpoint) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint of the authors or of the toolbox; each is used exactly once.

    Raises:
        WeightsError: a name that is none of AdaBins', or two that mean the same.
    """
    return rename(
        read.state, _rules(layout_of(read.state)), read.path, network="AdaBins",
        advice=f"give AdaBins_nyu.pt or AdaBins_kitti.pt of its authors, or a file of {TOOLBOX}",
    )


def _rules(layout: Layout) -> list[Rule]:
    """Return how the names in a file become ours, those of the authors' first version (embedding_...) among them."""
    if layout == "official":
        head = ""
        rules = [
            (r"encoder\.original_model\.", "backbone."), (r"decoder\.conv2\.", "decoder.widen."),
            (r"decoder\.conv3\.", "decoder.out."),
            *((rf"decoder\.up{i + 1}\._net\.", f"decoder.ups.{i}.") for i in range(4)),
        ]
    else:
        head = r"decode_head\."
        rules = [
            (r"backbone\.original_model\.", "backbone."), (rf"{head}conv_list\.0\.conv\.", "decoder.widen."),
            (rf"{head}decode_final_conv\.", "decoder.out."), (rf"{head}conv_depth\.", "conv_depth."),
            *((rf"{head}conv_list\.{i + 1}\.conv{letter}\.{part}\.", f"decoder.ups.{i}.{place}.")
              for i in range(4) for letter, part, place in _PLACES),
        ]
    layers = rf"{head}adaptive_bins_layer\.patch_transformer\.transformer_encoder\.layers\.(\d)\."
    return [
        *rules,
        (rf"{layers}self_attn\.in_proj_", r"attention.layers.\1.qkv."),
        (rf"{layers}self_attn\.out_proj\.", r"attention.layers.\1.join."),
        (layers, r"attention.layers.\1."),
        (rf"{head}adaptive_bins_layer\.patch_transformer\.(?:embedding_convPxP|embedding_encoder)\.",
         "attention.patches."),
        (rf"{head}adaptive_bins_layer\.patch_transformer\.positional_encodings$", "attention.positions"),
        (rf"{head}adaptive_bins_layer\.(?:conv3x3|embedding_conv)\.", "attention.local."),
        (rf"{head}adaptive_bins_layer\.regressor\.", "attention.regressor."),
        (rf"{head}conv_out\.0\.", "classify."),
    ]


_PLACES = (("A", "conv", 0), ("A", "bn", 1), ("B", "conv", 3), ("B", "bn", 4))
"""The toolbox's blocks have names inside where the authors' have numbers."""


def _taps() -> dict[str, Tap]:
    where = ("blocks.0", "blocks.1", "blocks.2", "blocks.4", "conv_head")
    taps = {
        f"enc{i + 1}": Tap(module=f"network.backbone.{module}", stride=2 << i, channels=CHANNELS[i])
        for i, module in enumerate(where)
    }
    for i in range(4):
        taps[f"dec{i + 1}"] = Tap(module=f"network.decoder.ups.{i}", stride=16 >> i, channels=1024 >> i)
    taps["pre_head"] = Tap(module="network.decoder", stride=2, channels=128)
    return taps
