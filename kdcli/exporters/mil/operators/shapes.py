"""Operators that move numbers and change none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def reshape(x: Tensor, shape: Tensor) -> Tensor:
    """The same numbers in another shape; 0 keeps a side where the ranks are the same."""
    sides = _ints(shape)
    if len(sides) == x.ndim:
        sides = [side or int(old) for side, old in zip(sides, x.shape, strict=True)]
    return x.reshape(sides)


def transpose(x: Tensor, perm: Tensor) -> Tensor:
    """The axes in another order."""
    return x.permute(_ints(perm))


def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    """Axes of one, counted in what comes out."""
    rank = x.ndim + len(axes)
    for axis in sorted(one % rank for one in _ints(axes)):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Without these axes of one, or any."""
    return x.squeeze() if axes is None else x.squeeze(tuple(_ints(axes)))


def concat(values: tuple[Tensor, ...], axis: int, interleave: bool = False) -> Tensor:
    """Side by side along an axis, or in turn."""
    if not interleave:
        return torch.cat([torch.as_tensor(one) for one in values], axis)
    return torch.stack(values, axis % values[0].ndim + 1).flatten(axis % values[0].ndim, axis % values[0].ndim + 1)


def stack(values: tuple[Tensor, ...], axis: int) -> Tensor:
    """Side by side along a new axis."""
    return torch.stack([torch.as_tensor(one) for one in values], axis)


def split(x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    """Parts along an axis: of these sizes, or so many alike."""
    sizes = [int(x.shape[axis]) // (num_splits or 1)] * (num_splits or 1) if split_sizes is None else _ints(split_sizes)
    return tuple(torch.split(x, sizes, axis))


def slice_by_index(
    x: Tensor, begin: Tensor, end: Tensor, stride: Tensor | None = None, begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None, squeeze_mask: Tensor | None = None,
) -> Tensor:
    """What lies between indices; masks leave a side open, or take the axis away."""
    gone: list[int] = []
    for i, (first, last) in enumerate(zip(_ints(begin), _ints(end), strict=True)):
        step, size = 1 if stride is None else int(stride[i]), int(x.shape[i])
        if squeeze_mask is not None and bool(squeeze_mask[i]):
            chosen, gone = [range(size)[first]], [*gone, i]
        else:
            opened = begin_mask is not None and bool(begin_mask[i])
            ended = end_mask is not None and bool(end_mask[i])
            chosen = list(range(size)[slice(None if opened else first, None if ended else last, step)])
        if chosen != list(range(size)):
            x = x.index_select(i, torch.tensor(chosen, dtype=torch.long))
    return x.squeeze(tuple(gone)) if gone else x


def slice_by_size(x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    """So many from an index on; -1 for all that are left."""
    for i, (first, count) in enumerate(zip(_ints(begin), _ints(size), strict=True)):
        x = x.narrow(i, first, int(x.shape[i]) - first if count == -1 else count)
    return x


def pad(x: Tensor, pad: Tensor, mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """More at the sides of the last axes: one number, the map mirrored at its edge, or its edge again."""
    sides = _ints(pad)
    first = x.ndim - len(sides) // 2
    if mode == "constant":
        backwards = [one for i in reversed(range(len(sides) // 2)) for one in sides[2 * i : 2 * i + 2]]
        return functional.pad(x, backwards, value=constant_val)
    for i in range(len(sides) // 2):
        last = int(x.shape[first + i]) - 1
        place = torch.arange(-sides[2 * i], last + 1 + sides[2 * i + 1])
        place = last - (last - place.abs()).abs() if mode == "reflect" else place.clamp(0, last)
        x = x.index_select(first + i, place)
    return x


def crop(x: Tensor, crop_height: Tensor, crop_width: Tensor) -> Tensor:
    """Less at top and bottom, left and right."""
    (top, bottom), (left, right) = _ints(crop_height), _ints(crop_width)
    return x[:, :, top : int(x.shape[2]) - bottom, left : int(x.shape[3]) - right]


def gather(x: Tensor, indices: Tensor | int, axis: int = 0, batch_dims: int = 0) -> Tensor:
    """Those at these indices along an axis; negative ones count from the end."""
    if batch_dims:
        raise ValueError("gather with batch_dims is not known here")
    wanted, axis = torch.as_tensor(indices), axis % x.ndim
    taken = x.index_select(axis, wanted.reshape(-1).long() % int(x.shape[axis]))
    return taken.reshape(*x.shape[:axis], *wanted.shape, *x.shape[axis + 1 :])


def tile(x: Tensor, reps: Tensor) -> Tensor:
    """The whole again and again along each axis."""
    return x.repeat(_ints(reps))


def shape(x: Tensor) -> Tensor:
    """The sides."""
    return torch.tensor(x.shape)


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Channels to places: C x f x f of them to C maps of f times the sides."""
    batch, channels, height, width = x.shape
    parts = x.reshape(batch, channels // upscale_factor**2, upscale_factor, upscale_factor, height, width)
    return parts.permute(0, 1, 4, 2, 5, 3).reshape(batch, -1, height * upscale_factor, width * upscale_factor)


def _ints(values: Tensor) -> list[int]:
    return [int(one) for one in values]


TABLE: Mapping[str, Callable[..., Any]] = {
    "reshape": reshape, "transpose": transpose, "expand_dims": expand_dims, "squeeze": squeeze, "concat": concat,
    "stack": stack, "split": split, "slice_by_index": slice_by_index, "slice_by_size": slice_by_size, "pad": pad,
    "crop": crop, "gather": gather, "tile": tile, "shape": shape, "pixel_shuffle": pixel_shuffle,
}  # fmt: skip
