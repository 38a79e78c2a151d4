"""Swin transformer (arXiv 2103.14030) for images of any size, with the layer names of OpenMMLab's version.

That version merges patches in the order of ``unfold`` (channel first, then the four neighbours), adds a batch of zeros
where a map is no multiple of the window, and forbids attention between neighbours of a cyclic shift by adding -100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn
from torch.nn import functional

WINDOW = 7
"""Edge of an attention window in patches."""

AREA = WINDOW * WINDOW

SHIFT = WINDOW // 2
"""By how much every second block moves its windows."""

FORBIDDEN = -100.0
"""Added to the logit of two patches that only the cyclic shift brings together."""

DEVIATION = 0.02
"""Of initial weights. The usual recipe truncates at two, a hundred deviations away, which is to say never."""

Size = tuple[int, int]
"""Height and width in patches."""


class Swin(nn.Module):
    """B x 3 x H x W normalised to four maps at strides 4, 8, 16, 32, finest first; sizes are rounded up."""

    def __init__(
        self, width: int, depths: Sequence[int], heads: Sequence[int], *, drop_path: float = 0.0
    ) -> None:
        """Build the network: ``width`` channels at stride 4; heads, and blocks (``depths``), of the four stages."""
        super().__init__()
        self.patch_embed = PatchEmbed(width)
        rates = [drop_path * i / (sum(depths) - 1) for i in range(sum(depths))]
        self.stages = nn.ModuleList()
        for i, (depth, head) in enumerate(zip(depths, heads, strict=True)):
            first = sum(depths[:i])
            last = i == len(depths) - 1
            self.stages.append(Stage(width << i, head, rates[first : first + depth], merge=not last))
            self.add_module(f"norm{i}", MapNorm(width << i))
        self.apply(_initialise)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the normalised maps of the stages, B x C x h x w each."""
        patches = self.patch_embed(image)
        # Halving and rounding up time and again gives the same sizes, but an exporter would drown in such terms.
        sizes = [(_divided(image.shape[-2], 4 << i), _divided(image.shape[-1], 4 << i)) for i in range(5)]
        maps = []
        for i, stage in enumerate(self.stages):
            patches, own = stage(patches, sizes[i], sizes[i + 1])
            maps.append(getattr(self, f"norm{i}")(own, sizes[i]))
        return maps


class PatchEmbed(nn.Module):
    """Patches of 4 x 4 pixels as vectors; the image is padded with zeros at its end."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, 4, stride=4)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        """Return B x ceil(H/4) * ceil(W/4) x C, row by row."""
        height, width = image.shape[-2:]
        image = functional.pad(image, (0, _divided(width, 4) * 4 - width, 0, _divided(height, 4) * 4 - height))
        return self.norm(self.projection(image).flatten(2).transpose(1, 2))  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Blocks at one resolution, then, except in the last stage, the merge to the next."""

    def __init__(self, width: int, heads: int, drop_paths: Sequence[float], *, merge: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, rate) for rate in drop_paths)
        self.downsample = PatchMerging(width) if merge else None

    def forward(self, patches: Tensor, size: Size, merged: Size) -> tuple[Tensor, Tensor]:
        """Return what the next stage is given, of size ``merged``, and the stage's own patches, of size ``size``."""
        cuts = [Cut.of(size, shift, patches) for shift in (0, SHIFT)]
        for i, block in enumerate(self.blocks):
            patches = block(patches, cuts[i % 2])
        return (patches if self.downsample is None else self.downsample(patches, size, merged)), patches


class PatchMerging(nn.Module):
    """Four neighbours become one patch of twice the channels; ordered as ``unfold`` does, not as in the paper."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, patches: Tensor, size: Size, merged: Size) -> Tensor:
        """Return B x h' * w' x 2C, where h' x w' is ``merged``, half of ``size`` and rounded up."""
        height, width = size
        rows, columns = (torch.arange(2 * half, device=patches.device).view(half, 2) for half in merged)
        inside = (rows < height)[:, None, :, None] & (columns < width)[None, :, None, :]
        patch = torch.where(inside, rows[:, None, :, None] * width + columns[None, :, None, :], height * width)
        batch, _, channels = patches.shape
        four = _picked(patches, patch.flatten()).view(batch, -1, 4, channels).transpose(2, 3).flatten(2)
        return self.reduction(self.norm(four))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention within windows and a two-layer perceptron, each normalised before and added."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"w_msa": WindowAttention(width, heads)})
        self.norm2 = nn.LayerNorm(width)
        hidden = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU())
        self.ffn = nn.ModuleDict({"layers": nn.Sequential(hidden, nn.Linear(4 * width, width))})
        self.drop = DropPath(drop_path)

    def forward(self, patches: Tensor, cut: Cut) -> Tensor:
        """Return B x L x C."""
        windows = self.attn["w_msa"](_picked(self.norm1(patches), cut.patch), cut.mask)
        patches = patches + self.drop(windows.index_select(1, cut.place))
        return patches + self.drop(self.ffn["layers"](self.norm2(patches)))  # type: ignore[no-any-return]


class WindowAttention(nn.Module):
    """Self-attention of the patches of a window, with a learned bias for each relative position and head."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _relative_positions(), persistent=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        nn.init.normal_(self.relative_position_bias_table, std=DEVIATION)

    def forward(self, patches: Tensor, mask: Tensor | None) -> Tensor:
        """Return B x N * 49 x C; ``mask``, B * N x 1 x 49 x 49, is added to the logits."""
        batch, _, width = patches.shape
        parts = self.qkv(patches).view(-1, AREA, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]
        if mask is not None:
            bias = bias + mask
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.proj(mixed.transpose(1, 2).reshape(batch, -1, width))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a map of L patches is cut into N windows: which patch stands where, and who may not see whom."""

    patch: Tensor
    """N * 49 numbers: the patch at each place of the windows, L where there is none."""
    place: Tensor
    """L numbers: the place of each patch."""
    mask: Tensor | None
    """B * N x 1 x 49 x 49: 0, or -100 between patches that are no neighbours in the map; None where all are."""

    @classmethod
    def of(cls, size: Size, shift: int, like: Tensor) -> Cut:
        """Return the cut of maps of this height and width, moved cyclically up and left by ``shift``."""
        (height, width), (rows, columns) = size, (_divided(length, WINDOW) for length in size)
        y = torch.arange(rows * WINDOW, device=like.device)[:, None]
        x = torch.arange(columns * WINDOW, device=like.device)[None]
        number = torch.where((y < height) & (x < width), y * width + x, height * width)
        y, x = _shifted(y, rows, shift), _shifted(x, columns, shift)
        window = y // WINDOW * columns + x // WINDOW
        place = window * AREA + y % WINDOW * WINDOW + x % WINDOW
        flat = place.flatten()
        patch = torch.zeros_like(flat).scatter(0, flat, number.flatten())
        place = place[:height, :width].flatten()
        if not shift:
            return cls(patch=patch, place=place, mask=None)
        part = 3 * _part(y, rows) + _part(x, columns)
        part = torch.zeros_like(flat).scatter(0, flat, part.flatten()).repeat(like.shape[0]).view(-1, 1, AREA)
        mask = (part[..., None] != part[..., None, :]).to(like.dtype) * FORBIDDEN
        return cls(patch=patch, place=place, mask=mask)


def _shifted(at: Tensor, windows: int, shift: int) -> Tensor:
    """Return where a row or column comes to lie; those that leave at one end come back at the other."""
    return torch.where(at < shift, at + windows * WINDOW - shift, at - shift)


def _part(at: Tensor, windows: int) -> Tensor:
    """Return 0 for whole windows; in the last, 1 for what lies at the map's end, 2 for what came from its begin."""
    return (at >= (windows - 1) * WINDOW).long() + (at >= windows * WINDOW - SHIFT).long()


def _divided(length: int, by: int) -> int:
    """Return a quotient, rounded up."""
    return (length + by - 1) // by


def _picked(patches: Tensor, numbers: Tensor) -> Tensor:
    """Return the patches of these numbers, B x N x C; number L, which is one too many, stands for zeros."""
    return functional.pad(patches, (0, 0, 0, 1)).index_select(1, numbers)


def _relative_positions() -> Tensor:
    """Return, for each pair of a window's patches, the row of the bias table: 49 x 49."""
    place = torch.arange(WINDOW, device="cpu")
    row = place.repeat_interleave(WINDOW)
    column = place.repeat(WINDOW)
    down = row[:, None] - row[None, :] + WINDOW - 1
    right = column[:, None] - column[None, :] + WINDOW - 1
    return down * (2 * WINDOW - 1) + right


class MapNorm(nn.LayerNorm):
    """Layer norm over the channels of B x h * w x C, given as a map."""

    def forward(self, patches: Tensor, size: Size) -> Tensor:  # type: ignore[override]
        """Return B x C x h x w."""
        return torch.unflatten(super().forward(patches).transpose(1, 2), 2, size)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
