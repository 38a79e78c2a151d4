"""Batches of different sources as one: the same fields in each, then one behind the other, then in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from kdcli.types import Batch


def with_parts(batch: Batch, *, depth: bool, labelled: bool, instances: bool, intrinsics: bool) -> Batch:
    """Return a batch that has exactly these parts: what it lacks is blank and marked, what is not wanted left out.

    labelled: whether its own depth counts.
    """
    count, size, device = len(batch), tuple(batch.image.shape[-2:]), batch.image.device
    ids = batch.instances
    if instances and ids is None:
        ids = torch.zeros(count, *size, dtype=torch.int64, device=device)
    made = replace(
        batch, instances=ids if instances else None, intrinsics=batch.intrinsics if intrinsics else None, depth=None,
        valid=None, labelled=None,
    )
    if not depth:
        return made
    known, valid, flags = batch.depth, batch.valid, batch.labelled
    if known is None or not labelled:
        known = torch.zeros(count, 1, *size, device=device)
        valid, flags = torch.zeros_like(known, dtype=torch.bool), torch.zeros(count, dtype=torch.bool, device=device)
    return replace(
        made, depth=known, valid=torch.ones_like(known, dtype=torch.bool) if valid is None else valid,
        labelled=torch.ones(count, dtype=torch.bool, device=device) if flags is None else flags,
    )


def in_order(batches: Sequence[Batch], rows: Sequence[int]) -> Batch:
    """Join batches that have the same parts; rows: where each of their images goes, those of the first batch first."""
    order = sorted(range(len(rows)), key=rows.__getitem__)
    ids = [name for batch in batches for name in batch.ids]
    at = torch.tensor(order, device=batches[0].image.device)
    joined: dict[str, Any] = {"ids": tuple(ids[place] for place in order)}
    for field in fields(Batch):
        parts: list[Tensor] = [getattr(batch, field.name) for batch in batches]
        if field.name != "ids" and all(part is not None for part in parts):
            joined[field.name] = torch.cat(parts)[at]
    return Batch(**joined)
