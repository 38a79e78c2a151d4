"""Checkpoints with random weights, as the authors of a network write them."""

from __future__ import annotations

import functools
import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdcli.networks.backbone import timm_network
from kdcli.plugins import registry
from kdcli.published.base import undrawn
from kdcli.weights import save
from kdcli.weights.rename import rename

_LAYERS = "adaptive_bins_layer.patch_transformer.transformer_encoder.layers"
_ADABINS = [
    (r"backbone\.", "encoder.original_model."), (r"decoder\.widen\.", "decoder.conv2."),
    (r"decoder\.out\.", "decoder.conv3."), *((rf"decoder\.ups\.{i}\.", f"decoder.up{i + 1}._net.") for i in range(4)),
    (r"attention\.layers\.(\d)\.qkv\.", rf"{_LAYERS}.\1.self_attn.in_proj_"),
    (r"attention\.layers\.(\d)\.join\.", rf"{_LAYERS}.\1.self_attn.out_proj."),
    (r"attention\.layers\.(\d)\.", rf"{_LAYERS}.\1."),
    (r"attention\.patches\.", "adaptive_bins_layer.patch_transformer.embedding_convPxP."),
    (r"attention\.positions", "adaptive_bins_layer.patch_transformer.positional_encodings"),
    (r"attention\.local\.", "adaptive_bins_layer.conv3x3."),
    (r"attention\.regressor\.", "adaptive_bins_layer.regressor."), (r"classify\.", "conv_out.0."),
]
"""Our names to those of AdaBins' authors; the networks below besides it have the authors' own."""

_WRAPPER: dict[str, tuple[list[str], str]] = {
    "adabins": (["model"], "module."), "bts": (["model"], "module."), "depthformer": (["state_dict"], ""),
    "mff": (["state_dict"], "module."), "guidedepth": (["model", "ema"], ""),
}
"""Network -> the keys under which its states stand in a file, and what stands before each name."""


def checkpoint(spec: str, path: Path) -> Path:
    """Write a published network with random weights, in half precision, under its authors' names and in their wrapper.

    Args:
        spec: student SPEC of the network, of a plugin that has the authors' names or of the table here.
        path: file to write.
    """
    with undrawn():
        built: Any = registry.build("student", spec)
    network = getattr(built, "network", built)
    generator = torch.Generator().manual_seed(5)
    state = {
        name: _drawn(name, value, generator) for name, value in network.state_dict().items()
        if not name.endswith("relative_position_index")
    }
    name = re.split(r"[,:]", spec)[0]
    if name == "adabins":
        state = rename(state, _ADABINS, path, network=name, advice="complete the table")
    keys, before = _WRAPPER.get(name, ([], ""))
    state = {before + known: value for known, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({key: dict(state) for key in keys} if keys else state, path)
    return path


def encoder(name: str, path: Path) -> Path:
    """Write random weights of one of timm's models as its file of pretrained ones."""
    with undrawn():
        network = timm_network(name)
    generator = torch.Generator().manual_seed(5)
    save(path, {key: _drawn(key, value, generator) for key, value in network.state_dict().items()}, {})
    return path


def _drawn(name: str, value: Tensor, generator: torch.Generator) -> Tensor:
    """Return numbers of an initial state: layers that keep a feature's size, norms that do nothing."""
    if not value.is_floating_point():
        return torch.zeros_like(value)
    if value.dim() > 1:
        drawn = torch.randn(value.shape, generator=generator)
        return (drawn / math.sqrt(max(value[0].numel(), 1))).half()
    return torch.full_like(value, float(name.endswith(("weight", "running_var")))).half()


def transformers_model(family: str, folder: Path) -> None:
    """Write a small model of transformers with random weights and its processor."""
    torch.manual_seed(0)
    network, processor = _families()[family]()
    network.save_pretrained(folder)
    processor.save_pretrained(folder)


@functools.cache
def _families() -> dict[str, Any]:
    """Return the small models of the package's own tests."""
    path = Path(__file__).resolve().parents[1] / "plugins" / "kdcli-huggingface" / "tests" / "hf_tiny.py"
    spec = importlib.util.spec_from_file_location("hf_tiny", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    families: dict[str, Any] = module.MODELS
    return families
