"""From what a model says of a batch to the row of each image: alignment, clipping, metrics, and what is wrong with it.

Here and in ``kdcli.evals.metrics.per_image`` the device decides the form (``kdcli.evals.listed.by_lists``): lists of
the pixels that count on a CPU, whole maps with masks on a GPU, which is then asked for its answer once a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kdcli.evals.alignment import align
from kdcli.evals.batches import Prepared
from kdcli.evals.blocks import nine
from kdcli.evals.listed import Floats, Listed, ends, numbers, positions, taken
from kdcli.evals.metrics import per_image
from kdcli.evals.predict import Raw, around, depth_of, limits, place
from kdcli.evals.protocol import Alignment, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was found of each image of a batch, on the CPU.

    values: metrics, B x 9 float64. pixels: how many count, B. broken: at how many of them that the model was shown it
    says no number. fitted: how many an alignment is fitted to.
    """

    values: Tensor
    pixels: list[int]
    broken: list[int]
    fitted: list[int]


def listed(prepared: Prepared) -> list[Listed]:
    """Return the pixels that count of each image of a batch on the CPU."""
    return list(_of_masks(prepared) if prepared.pixels is None else prepared.pixels)


def measured(
    raw: Raw, prepared: Prepared, pixels: Sequence[Listed] | None, rules: Protocol, mode: Alignment
) -> Measured:
    """Measure a batch. pixels: those that count, listed; None where the device measures whole maps."""
    if pixels is None:
        return _of_maps(raw, prepared, rules, mode)
    rows = [_of_list(raw, i, one, rules, mode) for i, one in enumerate(pixels)]
    return Measured(
        values=torch.from_numpy(np.stack([values for values, *_ in rows])),
        pixels=[count for _, count, _, _ in rows],
        broken=[broken for _, _, broken, _ in rows],
        fitted=[fitted for *_, fitted in rows],
    )


def _of_list(
    raw: Raw, row: int, listed: Listed, rules: Protocol, mode: Alignment
) -> tuple[Floats, int, int, int]:
    here = listed if raw.opinion is None else listed.where(raw.opinion[row])
    said, truth = raw.at(row, here), here.truth
    found, clipped, finite = said, limits(rules) if rules.clamp else None, True
    if mode != "none" or clipped is None:  # else what it does is part of clipping
        # Looked at before alignment, which could hide an infinity.
        finite = bool(np.isfinite(ends(said)).all())
        found, truth = found.reshape(-1), truth.reshape(-1)
        chosen = _fitted_to(here, raw.region, rules)
        aligned = align(torch.from_numpy(found), raw.kind, torch.from_numpy(truth), chosen, mode, rules.fit)
        found = numbers(aligned)
    if len(here.around):
        found = np.concatenate([found.reshape(-1), np.full_like(here.around, around(rules))])
        truth = np.concatenate([truth.reshape(-1), here.around])
    values, as_given = nine(found, truth, clipped, delta_inclusive=rules.delta_inclusive)
    broken = 0 if finite and as_given else said.size - int(np.count_nonzero(np.isfinite(said)))
    return values, len(here), broken, said.size


def _fitted_to(here: Listed, region: tuple[int, int], rules: Protocol) -> Tensor | None:
    """Return which of an image's pixels an alignment is fitted to; None = all."""
    height, width = region
    columns = rules.fit.columns(height, width)
    return None if columns is None else columns[torch.from_numpy(here.places(height, width) % width)]


def _of_maps(raw: Raw, prepared: Prepared, rules: Protocol, mode: Alignment) -> Measured:
    shown = prepared.batch.valid
    assert shown is not None
    counted, fitted = prepared.valid, shown
    if raw.opinion is not None:
        counted, fitted = counted & place(raw.opinion, prepared, rules, fill=True), shown & raw.opinion
    broken = (~torch.isfinite(raw.values) & shown).flatten(1).sum(1)
    depth = place(depth_of(raw, prepared, mode, rules), prepared, rules)
    values, pixels = per_image(depth, prepared.depth, counted, delta_inclusive=rules.delta_inclusive)
    counts = torch.stack([pixels, broken, fitted.flatten(1).sum(1)]).cpu()
    return Measured(
        values=values.cpu(), pixels=counts[0].tolist(), broken=counts[1].tolist(), fitted=counts[2].tolist()
    )


def _of_masks(prepared: Prepared) -> Iterator[Listed]:
    batch = prepared.batch
    assert batch.depth is not None and batch.valid is not None
    height, width = batch.depth.shape[-2:]
    pasted = prepared.valid.shape[-2:] != batch.valid.shape[-2:]
    for depth, valid, whole, counted in zip(batch.depth, batch.valid, prepared.depth, prepared.valid, strict=True):
        at = positions(valid.reshape(-1).numpy())
        truth = taken(depth, at)
        around = truth[:0]
        if pasted:
            outside = counted.clone()
            top, left = prepared.corner
            outside[..., top : top + height, left : left + width] = False
            around = numbers(whole)[outside.reshape(-1).numpy()]
        yield Listed(at=at, truth=truth, around=around)
