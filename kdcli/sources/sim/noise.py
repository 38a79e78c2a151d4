"""Pictures of noise: the baseline that says what a student learns when the images say nothing.

Every pixel and channel is standard normal in the space that networks see after ImageNet's normalisation, brought back
to 0..1 and clipped there (about two deviations to either side). There is no scene, so no depth and no instances.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcli.networks.normalise import IMAGENET_MEAN, IMAGENET_STD
from kdcli.sources.sim.hashing import mix, scene_keys
from kdcli.types import Batch

_FIELD = 1.0 / (1 << 24)


def noise(seed: int, indices: Tensor, size: tuple[int, int], device: torch.device | str = "cpu") -> Batch:
    """Draw pictures of a size (height, width).

    indices: (B,) int64 picture numbers; each picture depends on (seed, index, size) alone.
    """
    height, width = size
    ids = tuple(f"noise/{seed}/{index}" for index in indices.tolist())
    keys = scene_keys("noise", seed, indices.to(device=device, dtype=torch.int64))
    normal = standard_normal(keys, 3 * height * width).view(len(ids), 3, height, width)
    mean, std = (normal.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return Batch(ids=ids, image=(mean + std * normal).clamp(0, 1))


def standard_normal(keys_B: Tensor, count: int) -> Tensor:
    """Draw B x count float32 numbers of a standard normal distribution (Box and Muller, 1958) from keys (B,)."""
    counters = torch.arange(count, device=keys_B.device, dtype=torch.int64)
    bits = mix(mix(counters)[None] ^ keys_B[:, None])
    # Two fields of 24 bits from one hash: a radius, which must not see the logarithm of zero, and an angle.
    radius = (((bits >> 40) & 0xFFFFFF).float() + 0.5).mul_(_FIELD).log_().mul_(-2).sqrt_()
    angle = ((bits >> 16) & 0xFFFFFF).float().mul_(2 * math.pi * _FIELD)
    return radius * angle.cos_()
