"""Shapes that a network's configuration tells: which sizes it takes, and where its inner maps are."""

from __future__ import annotations

from typing import Any

from torch import nn

from kdcli.types import Tap

_SHRINKS = 32
"""By how much hierarchical encoders shrink images."""


def patch_of(config: Any) -> int:
    """Return the side of the patches that a network cuts images into."""
    inner = getattr(config, "backbone_config", None)
    own = getattr(inner, "patch_size", None) or getattr(config, "patch_size", None) or 1
    return int(own if isinstance(own, int) else own[0])


def step_of(config: Any) -> int:
    """Return what the sides of images must be multiples of."""
    hierarchical = config.model_type == "glpn" or _hierarchical(config)
    return _SHRINKS if hierarchical else patch_of(config)


def needs_square(config: Any) -> bool:
    """Say whether a network takes its patches for those of a square: DPT with a transformer of its own."""
    return config.model_type == "dpt" and (config.is_hybrid or config.backbone_config is None)


def taps_of(network: nn.Module, config: Any, *, fixed: bool) -> dict[str, Tap]:
    """Return the maps of the neck (``enc``) and of the fusion (``dec``) whose stride is a whole number of pixels.

    ``fixed``: whether the network sees every image at one size; strides mean nothing otherwise. GLPN sees images at
    about their own.
    """
    if config.model_type == "glpn":
        # The last stage has another doubling behind it, before the head.
        width = int(config.decoder_hidden_size)
        return {
            f"dec{i + 1}": Tap(module=f"network.decoder.stages.{i}", stride=16 >> i, channels=width) for i in range(4)
        }
    neck: Any = getattr(network, "neck", None)
    if not fixed or not hasattr(neck, "convs") or not hasattr(getattr(neck, "fusion_stage", None), "layers"):
        return {}
    patch, channels, count = patch_of(config), int(config.fusion_hidden_size), len(neck.convs)
    if _hierarchical(config):
        strides: list[float] = [patch * 2**i for i in range(count)]
    else:
        strides = [patch / factor for factor in config.reassemble_factors]
    places = [(f"enc{i + 1}", f"network.neck.convs.{i}", stride) for i, stride in enumerate(strides)]
    # Fusion begins at the coarsest map, and each of its layers doubles the side.
    places += [
        (f"dec{i + 1}", f"network.neck.fusion_stage.layers.{i}", stride / 2) for i, stride in enumerate(strides[::-1])
    ]
    return {
        name: Tap(module=module, stride=int(stride), channels=channels)
        for name, module, stride in places if stride >= 1 and stride == int(stride)
    }


def _hierarchical(config: Any) -> bool:
    inner = getattr(config, "backbone_config", None)
    return getattr(inner, "model_type", "").startswith("swin")
