"""Multi-scale deformable attention (Deformable DETR, arXiv 2010.04159) in plain PyTorch, no compiled operator."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class DeformableAttention(nn.Module):
    """Each query looks at a few points of each map, near its reference point, instead of everywhere.

    Where it looks (offsets in pixels of the map) and how much each point counts are linear in the query. The layer
    adds its result to the query.
    """

    def __init__(self, width: int, *, levels: int = 4, heads: int = 8, points: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        self.levels, self.heads, self.points = levels, heads, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.initialise()

    def initialise(self) -> None:
        """Begin with equal weights, and with one direction for each head whose points step outwards."""
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        angle = torch.arange(self.heads, device="cpu") * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1, device="cpu")
        ring = direction[:, None, None, :] * steps[None, None, :, None]
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(ring.expand(-1, self.levels, -1, -1).flatten())
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, query: Tensor, position: Tensor, reference: Tensor, value: Tensor, sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Return B x Q x C.

        Args:
            query: B x Q x C.
            position: Q x C, added to the query where it decides where to look.
            reference: Q x 2, the point (x, y) of each query in 0..1 of every map.
            value: B x S x C, the maps row by row, one after the other.
            sizes: height and width of the maps.
        """
        batch, count, width = query.shape
        asked = query + position
        offsets = self.sampling_offsets(asked).view(batch, count, self.heads, self.levels, self.points, 2)
        weights = self.attention_weights(asked).view(batch, count, self.heads, self.levels * self.points)
        weights = weights.softmax(dim=-1).view(batch, count, self.heads, self.levels, self.points)
        heads = self.value_proj(value).view(batch, -1, self.heads, width // self.heads)
        seen = sample(heads, sizes, reference, offsets, weights)
        return query + self.dropout(self.output_proj(seen.to(query.dtype)))  # type: ignore[no-any-return]


def sample(
    value: Tensor, sizes: Sequence[tuple[int, int]], reference: Tensor, offsets: Tensor, weights: Tensor
) -> Tensor:
    """Return the weighted sum of the values at reference points plus offsets, B x Q x heads * D.

    Values lie at the centres of pixels, between them they are interpolated, outside of the map they are zero.

    Args:
        value: B x S x heads x D, the maps row by row, one after the other.
        sizes: height and width of the L maps.
        reference: Q x 2, (x, y) in 0..1.
        offsets: B x Q x heads x L x P x 2, (x, y) in pixels of the map.
        weights: B x Q x heads x L x P.
    """
    batch, _, heads, depth = value.shape
    count = offsets.shape[1]
    offsets = offsets.permute(0, 2, 3, 1, 4, 5).flatten(0, 1)
    weights = weights.permute(0, 2, 3, 1, 4).flatten(0, 1)
    # Coordinates in half precision would be off by pixels.
    value = value.to(torch.promote_types(value.dtype, reference.dtype)).permute(0, 2, 3, 1).flatten(0, 1)
    planes = torch.split(value, [height * width for height, width in sizes], dim=-1)
    corner = (2 * reference - 1)[:, None]
    total: Tensor | None = None
    # One map after the other: their samples together are the largest thing in the network.
    for level, ((height, width), plane) in enumerate(zip(sizes, planes, strict=True)):
        step = offsets[:, level]
        grid = corner + torch.stack([step[..., 0] * (2 / width), step[..., 1] * (2 / height)], dim=-1)
        plane = plane.view(batch * heads, depth, height, width)
        seen = functional.grid_sample(plane, grid.to(plane.dtype), padding_mode="zeros", align_corners=False)
        part = (seen * weights[:, level, None]).sum(dim=-1)
        total = part if total is None else total + part
    assert total is not None
    return total.view(batch, heads * depth, count).transpose(1, 2)


def centres(height: int, width: int, like: Tensor) -> Tensor:
    """Return the centres of a map's pixels row by row, height * width x 2, (x, y) in 0..1."""
    kind = torch.promote_types(like.dtype, torch.float32)
    y = (torch.arange(height, device=like.device, dtype=kind) + 0.5) / height
    x = (torch.arange(width, device=like.device, dtype=kind) + 0.5) / width
    grid = torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], dim=-1)
    return grid.flatten(0, 1)


def sine_positions(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Return positions as sines and cosines, height * width x channels: half of them of y, half of x.

    Positions count from one and are not scaled by the size of the map.
    """
    half = channels // 2
    kind = torch.promote_types(like.dtype, torch.float32)
    pair = torch.arange(half // 2, device=like.device, dtype=kind) * 2
    wavelength = torch.pow(10000.0, pair / half)
    codes = []
    for length in (height, width):
        phase = torch.arange(1, length + 1, device=like.device, dtype=kind)[:, None] / wavelength
        codes.append(torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(1))
    rows = codes[0][:, None].expand(height, width, half)
    columns = codes[1][None].expand(height, width, half)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)
