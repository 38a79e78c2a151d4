"""What each process made of its part of a batch, put together, with the gradient that belongs to it.

Two kinds of gradient. Where all processes go on to compute the same from the whole (a loss of the gathered maps), each
goes back through its own part alone, and the mean over processes, which ``DistributedDataParallel`` takes, would be a
share of the gradient: ``together`` multiplies it by their number. Where each goes on with its own part (a batch norm
with shared statistics), what the others' losses say of a number has to come back to it: ``exchanged`` adds it up.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, distributed

from kdcli.many.group import Group
from kdcli.types import Batch, Prediction


def together(part: Tensor, group: Group) -> Tensor:
    """Return the parts of all processes along the first axis, in the order of ranks; shapes are the same in all."""
    return _Together.apply(part, group)  # type: ignore[no-any-return]


def exchanged(part: Tensor, group: Group) -> Tensor:
    """Return the parts of all processes, stacked: N x the shape of one."""
    return _Exchanged.apply(part, group)  # type: ignore[no-any-return]


def whole_prediction(said: Prediction, images: int, group: Group) -> Prediction:
    """Return what the model says of the whole batch. images: in this process's part.

    What does not go by images (bin centres that all share) stays as it is.
    """

    def joined(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(joined(one) for one in value)
        if not isinstance(value, Tensor) or value.ndim < 2 or len(value) != images:
            return value
        return together(value, group)

    return replace(said, **{f.name: joined(getattr(said, f.name)) for f in fields(said) if f.name != "kind"})


def whole_batch(part: Batch, group: Group) -> Batch:
    """Return the batch of all processes, on the device; what one of them lacks is left out, except depth's marks.

    A batch of which one process has depth for every image and another for some is marked in all.
    """
    optional = [f.name for f in fields(part) if f.name not in ("ids", "image")]
    had = group.all_of((part.ids, {name for name in optional if getattr(part, name) is not None}))
    marked = any("labelled" in names for _, names in had)
    if marked and part.labelled is None:
        there = torch.full((len(part),), part.depth is not None, device=part.image.device)
        part = replace(part, labelled=there)
    if any("valid" in names for _, names in had) and part.valid is None and part.depth is not None:
        part = replace(part, valid=torch.ones_like(part.depth, dtype=torch.bool))
    common = set.intersection(*({*names, "labelled", "valid"} for _, names in had))
    kept = {name: value for name in optional if name in common and (value := getattr(part, name)) is not None}
    alone = Batch(ids=part.ids, image=part.image, **kept)
    ids = tuple(name for names, _ in had for name in names)
    return replace(alone.map_tensors(lambda tensor: together(tensor, group)), ids=ids)


def _collected(part: Tensor, group: Group) -> list[Tensor]:
    sent = part.contiguous()
    if sent.dtype == torch.bool:  # which the backends do not carry
        return [one.bool() for one in _collected(sent.to(torch.uint8), group)]
    found = [torch.empty_like(sent) for _ in range(group.size)]
    distributed.all_gather(found, sent)
    return found


class _Together(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, group: Group) -> Tensor:
        ctx.group, ctx.count = group, len(part)
        return torch.cat(_collected(part, group))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        begin = ctx.group.rank * ctx.count
        return gradient[begin : begin + ctx.count] * ctx.group.size, None


class _Exchanged(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return torch.stack(_collected(part, group))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.contiguous()
        distributed.all_reduce(total)
        return total[ctx.group.rank], None
