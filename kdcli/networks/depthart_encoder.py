"""The encoder of DepthART's slim network: MobileNetV4-Conv-M of timm with fewer hidden channels in its deep blocks.

Facts from https://github.com/xuefeng-cvr/DepthART (arXiv 2607.17099); names are timm's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn

from kdcli.networks.backbone import timm_network
from kdcli.networks.encoders import encoder_weights
from kdcli.types import Pretrained

WHOLE = "mobilenetv4_conv_medium.e500_r256_in1k"
"""timm's name of the network, with ImageNet weights, that this one is a slim copy of."""

CHANNELS = (32, 48, 80, 160, 256)
"""Channels of the maps at a half, a quarter, an eighth, a 16th and a 32nd of the image."""

_BLOCKS: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((3, 5, 192), (3, 3, 160)),
    ((3, 5, 320), (3, 3, 352), (3, 3, 352), (3, 5, 352), (3, 3, 352), (3, 0, 352), (0, 0, 320), (3, 0, 352)),
    ((5, 5, 640), (5, 5, 928), (3, 5, 928), (3, 5, 928), (0, 0, 928), (3, 0, 928), (3, 5, 512), (5, 5, 928),
     (0, 0, 928), (0, 0, 928), (5, 0, 512)),
)  # fmt: skip
"""Of each inverted residual after the first stage: edges of the depthwise kernels before and after it is widened
(0 = none), hidden channels. The first of a stage halves the map."""

_HIDDEN = ("pw_exp.conv.weight", "pw_exp.bn", "dw_mid.conv.weight", "dw_mid.bn")
"""Tensors of a block that have a row for each hidden channel, by the beginning of their names."""


def slim_mobilenet(*, pretrained: Pretrained = False) -> Any:
    """Return the encoder: images to the list of its five maps, finest first.

    ``pretrained``: with ImageNet weights of the whole network, made slim; ``auto``: where they can be had.

    Raises:
        WeightsError: pretrained weights that cannot be had.
    """
    encoder = MobileNetV3Features(_arguments(), stem_size=CHANNELS[0], act_layer=nn.ReLU, norm_layer=nn.BatchNorm2d)
    if encoder_weights(WHOLE, pretrained) is not None:
        whole = timm_network(WHOLE, pretrained=True, num_classes=0).state_dict()
        encoder.load_state_dict(slimmed(whole, encoder))
    return encoder


def slimmed(whole: Mapping[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a wide network that its slim copy keeps, under the same names.

    As the authors choose them: of each block the hidden channels that count most, in their order. A channel counts as
    much as the mean of its absolute weights in the projection, times the absolute factor of the last norm before it.
    """
    state = {name: whole[name] for name in encoder.state_dict()}
    for name, block in encoder.named_modules():
        if not hasattr(block, "pw_proj"):
            continue
        projection = f"{name}.pw_proj.conv.weight"
        kept = block.pw_exp.conv.out_channels
        norm = f"{name}.dw_mid.bn.weight" if f"{name}.dw_mid.bn.weight" in state else f"{name}.pw_exp.bn.weight"
        counts = state[projection].abs().mean(dim=(0, 2, 3)) * state[norm].abs()
        chosen = torch.topk(counts, kept).indices.sort().values
        state[projection] = state[projection][:, chosen]
        hidden = tuple(f"{name}.{part}" for part in _HIDDEN)
        for key in [key for key in state if key.startswith(hidden) and state[key].dim()]:
            state[key] = state[key][chosen]
    return state


def _arguments() -> list[list[dict[str, Any]]]:
    """Return the blocks as timm's builder takes them."""
    first = {
        "block_type": "er", "exp_kernel_size": 3, "pw_kernel_size": 1, "exp_ratio": 4.0, "force_in_chs": 0,
        "out_chs": CHANNELS[1], "stride": 2,
    }  # fmt: skip
    stages = [[_common | first]]
    for blocks, inputs, outputs in zip(_BLOCKS, CHANNELS[1:], CHANNELS[2:], strict=False):
        stages.append([
            _common | {
                "block_type": "uir", "dw_kernel_size_start": before, "dw_kernel_size_mid": after,
                "dw_kernel_size_end": 0, "exp_ratio": hidden / (outputs if i else inputs), "out_chs": outputs,
                "stride": 1 if i else 2,
            }
            for i, (before, after, hidden) in enumerate(blocks)
        ])  # fmt: skip
    return stages


_common: dict[str, Any] = {"act_layer": None, "se_ratio": 0.0, "noskip": False}
