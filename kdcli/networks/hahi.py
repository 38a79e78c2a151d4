"""The neck of DepthFormer (arXiv 2203.14211): hierarchical aggregation and heterogeneous interaction.

The transformer's four maps exchange among themselves by deformable self-attention; then the map of the convolution
stem looks at all of them by deformable cross-attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdcli.networks.deformable import DeformableAttention, centres, sine_positions


class HahiNeck(nn.Module):
    """Five maps to five maps of the same sizes and channels, the stem's first, then the transformer's, finest first."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        """Build the neck for maps of these channels; ``width`` is that of the attention."""
        super().__init__()
        stem, *trans = channels
        self.width = width
        self.lateral_convs = nn.ModuleList(ConvNorm(count, count, 1) for count in channels)
        self.trans_proj = nn.ModuleList(ConvNorm(count, width, 1) for count in trans)
        self.trans_fusion = nn.ModuleList(ConvNorm(count + width, count, 3) for count in trans)
        self.conv_proj = nn.Sequential(ConvNorm(stem, width, 1))
        self.conv_fusion = nn.Sequential(ConvNorm(stem + width, stem, 3))
        self.reference_points = nn.Linear(width, 2)
        self.level_embed = nn.Parameter(torch.zeros(len(trans), width))
        self.multi_att = DeformableAttention(width, levels=len(trans))
        self.self_attn = DeformableAttention(width, levels=len(trans))
        nn.init.xavier_uniform_(self.reference_points.weight)
        nn.init.zeros_(self.reference_points.bias)
        nn.init.normal_(self.level_embed)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the maps after both attentions, each fused with what it was before."""
        stem, *trans = (lateral(feature) for lateral, feature in zip(self.lateral_convs, features, strict=True))
        sizes = [(feature.shape[-2], feature.shape[-1]) for feature in trans]
        tokens = torch.cat([_rows(project(f)) for project, f in zip(self.trans_proj, trans, strict=True)], dim=1)
        tokens = self.self_attn(tokens, self._positions(sizes, tokens), _references(sizes, tokens), tokens, sizes)

        query = self.conv_proj(stem)
        height, width = query.shape[-2:]
        position = sine_positions(height, width, self.width, query).to(query.dtype)
        # Where a pixel of the stem looks is learned from its position alone.
        logits = self.reference_points(position)
        reference = logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()
        seen = self.multi_att(_rows(query), position, reference, tokens, sizes)
        fused = [self.conv_fusion(torch.cat([_map(seen, height, width), stem], dim=1))]

        parts = torch.split(tokens, [rows * columns for rows, columns in sizes], dim=1)
        for fuse, feature, part, size in zip(self.trans_fusion, trans, parts, sizes, strict=True):
            fused.append(fuse(torch.cat([feature, _map(part, *size)], dim=1)))
        return fused

    def _positions(self, sizes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
        """Return the code of each token's place within its map plus that of the map, S x width."""
        codes = [sine_positions(*size, self.width, like) + self.level_embed[i] for i, size in enumerate(sizes)]
        return torch.cat(codes).to(like.dtype)


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        nn.init.xavier_uniform_(self.conv.weight)

    def forward(self, feature: Tensor) -> Tensor:
        """Return B x outputs x h x w."""
        return torch.relu(self.bn(self.conv(feature)))


def _references(sizes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """Return where each token of the maps lies, S x 2 in 0..1."""
    return torch.cat([centres(*size, like) for size in sizes])


def _rows(feature: Tensor) -> Tensor:
    """Return a map's pixels row by row, B x h * w x C."""
    return feature.flatten(2).transpose(1, 2)


def _map(rows: Tensor, height: int, width: int) -> Tensor:
    """Return rows of pixels as a map, B x C x h x w."""
    return torch.unflatten(rows.transpose(1, 2), 2, (height, width))
