"""The AdaBins teacher, with the weights that its authors released."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError, SpecError, WeightsError
from kdcli.files import sha256_of
from kdcli.networks.adabins import CHANNELS, PATCH, POSITIONS, QUERIES, AdaBinsNet
from kdcli.networks.normalise import Normalise
from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, Prediction, Provenance, Tap
from kdcli.weights import entries, load_into, load_state, locate

MIN_DEPTH = 1e-3

TRAINED_PATCHES = 13 * 17
"""Patches of 32 x 32 pixels of the images that the indoor weights were trained on, 416 x 544."""

_RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"encoder\.original_model\.", "backbone."),
        (r"decoder\.conv2\.", "decoder.widen."),
        (r"decoder\.up(\d)\._net\.", r"decoder.ups.\1."),
        (r"decoder\.conv3\.", "decoder.out."),
        (r"adaptive_bins_layer\.patch_transformer\.(?:embedding_convPxP|embedding_encoder)\.", "attention.patches."),
        (r"adaptive_bins_layer\.patch_transformer\.positional_encodings$", "attention.positions"),
        (r"adaptive_bins_layer\.patch_transformer\.transformer_encoder\.layers\.", "attention.layers."),
        (r"adaptive_bins_layer\.(?:conv3x3|embedding_conv)\.", "attention.local."),
        (r"adaptive_bins_layer\.regressor\.", "attention.regressor."),
        (r"conv_out\.0\.", "classify."),
    )
)
"""Beginnings of the names in the released checkpoints, also the older ones, and what they are called here."""

_ATTENTION = (("self_attn.in_proj_", "qkv."), ("self_attn.out_proj.", "join."))


class AdaBins(nn.Module):
    """AdaBins with its released weights: metric depth at half the image's size, with the distribution over bins.

    ``adabins`` looks for the indoor weights (``adabins-nyu``), ``adabins,max_depth=80`` for those of driving
    (``adabins-kitti``), ``adabins:FILE`` takes a file in the original layout. Images with too few patches for the
    network are enlarged inside to about the size that it was trained on.
    """

    api_version: ClassVar[int] = API_VERSION
    depth_kind = DepthKind.METRIC

    def __init__(self, location: str | None = None, *, max_depth: float | None = None) -> None:
        """Build the network and fill it.

        Args:
            location: file of weights, or a name in ``kdcli weights list``.
            max_depth: greatest depth in metres, which the file does not tell: 80 when the file's name says kitti,
                otherwise 10.

        Raises:
            WeightsError: there are no weights, or they do not fit. SpecError: a depth range that does not hold.
        """
        super().__init__()
        if max_depth is None:
            max_depth = 80.0 if location is not None and "kitti" in Path(location).name.lower() else 10.0
        if not MIN_DEPTH < max_depth < math.inf:
            raise SpecError(f"max_depth={max_depth:g} is no depth; use 10 for the indoor weights, 80 for driving")
        name = location or ("adabins-kitti" if max_depth > 20 else "adabins-nyu")
        path = locate(name)
        state = convert(load_state(path), path)
        with torch.device("meta"):  # 78 million numbers need not be drawn to be overwritten
            network = AdaBinsNet(max_depth=max_depth)
        self.network = network.to_empty(device="cpu")
        load_into(self.network, state, path)
        self.normalise = Normalise()
        self.depth_range = (MIN_DEPTH, max_depth)
        self.taps: Mapping[str, Tap] = _taps()
        known = next((entry for entry in entries().values() if entry.file == path.name), None)
        self.provenance = Provenance(
            name="adabins", weights=str(path), sha256=sha256_of(path), licence="GPL-3.0",
            training_data=known.training_data if known else "unknown",
            notes="AdaBins, arXiv 2011.14141, https://github.com/shariqfarooq123/AdaBins",
        )
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Prediction:
        """Predict metric depth of B x 3 x H x W in 0..1, with ``probs`` and ``centers``.

        Raises:
            ConfigError: the image has more patches than the network's table of positions.
        """
        size = fitting_size(image.shape[-2], image.shape[-1])
        if size != (image.shape[-2], image.shape[-1]):
            image = functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
        bins = self.network(self.normalise(image))
        return Prediction(depth=bins.depth, kind=self.depth_kind, probs=bins.probs, centers=bins.centers)


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


def convert(state: Mapping[str, Tensor], origin: Path | str) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint in the authors' layout; each is used exactly once.

    Raises:
        WeightsError: a name that is none of AdaBins', or two that mean the same.
    """
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = _rename(key)
        if name is None or name in renamed:
            what = "has a tensor that AdaBins does not have" if name is None else "holds one tensor under two names"
            raise WeightsError(f"'{origin}' {what}: {key}; give AdaBins_nyu.pt or AdaBins_kitti.pt of its authors")
        renamed[name] = tensor
    return renamed


def _rename(key: str) -> str | None:
    for pattern, name in _RENAMED:
        if (match := pattern.match(key)) is None:
            continue
        begin = match.expand(name)
        if begin.startswith("decoder.ups."):  # counted from one there, from zero here
            begin = f"decoder.ups.{int(match[1]) - 1}."
        rest = key[match.end() :]
        for old, new in _ATTENTION:
            rest = rest.replace(old, new)
        return begin + rest
    return None


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
