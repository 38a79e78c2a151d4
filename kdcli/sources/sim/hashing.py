"""Counter-based random numbers: every number is a pure function of (world, seed, index, slot).

No generator is advanced, so a scene does not know in which batch, in which order or on which device it is drawn.
The mixing function is a 64-bit multiply-xorshift finaliser; torch's int64 products wrap, which is what it wants.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MASK64 = (1 << 64) - 1


def _signed(value: int) -> int:
    """Wrap a Python integer into the int64 range that torch accepts as a scalar."""
    value &= _MASK64
    return value - (1 << 64) if value >> 63 else value


_STEP = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xD6E8FEB86659FD93)
_SECOND = _signed(0xA3B195354A39B70D)
_SLOT_STRIDE = 1 << 20


def mix(value: Tensor) -> Tensor:
    """Scramble int64 counters into int64 bits; same shape. Neighbouring counters give unrelated bits."""
    value = value * _STEP
    value = (value ^ ((value >> 32) & 0xFFFFFFFF)) * _FIRST
    value = (value ^ ((value >> 29) & 0x7FFFFFFFF)) * _SECOND
    return value ^ ((value >> 32) & 0xFFFFFFFF)


def mix_int(value: int) -> int:
    """Scramble one Python integer the way ``mix`` does for tensors."""
    value = value * _STEP & _MASK64
    value = (value ^ (value >> 32)) * _FIRST & _MASK64
    value = (value ^ (value >> 29)) * _SECOND & _MASK64
    return _signed(value ^ (value >> 32))


def scene_keys(world: str, seed: int, indices: Tensor) -> Tensor:
    """Return one int64 key a scene, shape (B,), from the world's name, the seed and the scene numbers (B,)."""
    name = int.from_bytes(world.encode()[:8], "little")
    base = mix_int(mix_int(name) ^ _signed(seed * 2 + 1))
    return mix(mix(indices + 1) ^ base)


def unit(bits: Tensor) -> Tensor:
    """Turn int64 bits into float32 in [0, 1) with 24 bits of resolution."""
    return ((bits >> 40) & 0xFFFFFF).to(torch.float32) * (1.0 / (1 << 24))


class Dice:
    """Draws for a batch of scenes: each call takes the next slot, so the order of calls is part of a world's
    definition and nothing else is."""

    def __init__(self, keys: Tensor, first_slot: int = 1) -> None:
        self.keys = keys
        self.slot = first_slot

    @property
    def device(self) -> torch.device:
        """Where the draws are made."""
        return self.keys.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw B x shape float32 numbers in [low, high)."""
        count = 1
        for extent in shape:
            count *= extent
        counters = torch.arange(count, device=self.device, dtype=torch.int64) + self.slot * _SLOT_STRIDE
        self.slot += 1
        bits = mix(self.keys[:, None] ^ mix(counters)[None])
        return (low + (high - low) * unit(bits)).reshape(len(self.keys), *shape)

    def chance(self, *shape: int, probability: float) -> Tensor:
        """Draw B x shape booleans that are true with a probability."""
        return self.uniform(*shape) < probability

    def integer(self, *shape: int, count: int) -> Tensor:
        """Draw B x shape int64 numbers in 0 .. count - 1."""
        return (self.uniform(*shape) * count).long().clamp_(max=count - 1)

    def weighted(self, *shape: int, weights: tuple[float, ...]) -> Tensor:
        """Draw B x shape int64 numbers with the given relative weights."""
        table = torch.tensor(weights, device=self.device, dtype=torch.float32)
        edges = (table / table.sum()).cumsum(0)[:-1]
        return (self.uniform(*shape)[..., None] >= edges).sum(-1)


def pixel_noise(keys: Tensor, pixels: int) -> Tensor:
    """Draw B x 3 x pixels numbers of mean 0 and deviation 1 (sum of three uniforms a channel) from keys (B,)."""
    counters = torch.arange(pixels, device=keys.device, dtype=torch.int64) + (1 << 40)
    bits = mix(mix(counters)[None] ^ keys[:, None])
    # One 64-bit hash feeds all three channels: nine 7-bit fields.
    sums = [
        sum(((bits >> (channel * 21 + field * 7 + 1)) & 127 for field in range(3)), torch.zeros_like(bits))
        for channel in range(3)
    ]
    return (torch.stack(sums, dim=1).to(torch.float32) - 190.5) * (1.0 / 64.0)
