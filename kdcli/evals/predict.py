"""One model on one prepared batch: its raw numbers at the ground truth's size, then depth in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kdcli.errors import PluginError
from kdcli.evals.alignment import FLOOR, align, depth_fit, in_depth
from kdcli.evals.batches import Prepared
from kdcli.evals.listed import Floats, Listed, by_lists
from kdcli.evals.protocol import Alignment, Protocol
from kdcli.evals.regions import is_turned, refuse_doubt, region_of
from kdcli.evals.sampling import bilinear_at, bilinear_within, is_few, whole_factors
from kdcli.evals.stored.model import Predictions
from kdcli.networks.read_out import own_map, own_spread, read_out_of, resize_map, resize_spread
from kdcli.types import Batch, DepthKind, Prediction
from kdcli.uncertainty import Spread, both_views


@dataclass(slots=True, kw_only=True)
class Raw:
    """What a network says at the size of the region, still in its own output space, B x 1 x h x w.

    map: what it says; where ``size`` is given, its map before that is enlarged to this height and width, which is put
    off until somebody asks for all of it. opinion: where it says anything; None = everywhere. spread: how sure it is,
    in the same space; None where that was not asked for or the model does not tell.
    """

    map: Tensor
    kind: DepthKind
    opinion: Tensor | None
    spread: Spread | None = None
    size: tuple[int, int] | None = None

    @property
    def values(self) -> Tensor:
        """All of it, B x 1 x h x w."""
        if self.size is not None:
            self.map, self.size = resize_map(self.map, self.size, "bilinear"), None
        return self.map

    def at(self, row: int, listed: Listed) -> Floats:
        """Return the numbers of an image at the pixels of a list; a view where they are rows and columns."""
        places = listed.at
        if self.size is None:
            return listed.of(self.map[row])
        before = self.map[row, 0].detach().numpy()
        if isinstance(places, tuple):
            factors = whole_factors(before.shape, self.size)
            if factors is not None:
                return bilinear_within(before, factors, places)
        elif is_few(len(places), self.size):
            return bilinear_at(before, self.size, places)
        return listed.of(self.values[row])

    @property
    def region(self) -> tuple[int, int]:
        """Height and width of the region."""
        height, width = self.size or self.map.shape[-2:]
        return int(height), int(width)


def raw_prediction(
    model: nn.Module, prepared: Prepared, rules: Protocol, name: str, shares: Sequence[float] | None = None
) -> Raw:
    """Run a model and bring its output to the size of the shown region, averaged with the mirror image if asked.

    ``rules`` are those for this model (``Protocol.for_model``). shares: also return how sure it is, with these central
    intervals.

    Raises:
        PluginError: the model returns something else than a prediction of B x 1 x h x w.
    """
    batch = prepared.batch
    raw = _once(model, batch, prepared, rules, name, shares)
    if not rules.flip:
        return raw
    mirrored = replace(
        batch,
        image=batch.image.flip(-1),
        depth=None if batch.depth is None else batch.depth.flip(-1),
        valid=None if batch.valid is None else batch.valid.flip(-1),
    )
    back = _once(model, mirrored, prepared, rules, name, shares)
    other = back.values.flip(-1)
    clipped = raw.kind is DepthKind.METRIC and rules.clamp and rules.clip_views
    views = [clip(view, rules) if clipped else view for view in (raw.values, other)]
    opinion = raw.opinion
    if back.opinion is not None:
        opinion = back.opinion.flip(-1) if opinion is None else opinion & back.opinion.flip(-1)
    spread = None
    if raw.spread is not None and back.spread is not None:
        spread = both_views(raw.spread, back.spread.map(lambda one: one.flip(-1)), *views)
    return Raw(map=(views[0] + views[1]) / 2, kind=raw.kind, opinion=opinion, spread=spread)


def depth_of(raw: Raw, prepared: Prepared, mode: Alignment, rules: Protocol) -> Tensor:
    """Return the aligned depth of the region, clipped where the protocol says so."""
    batch = prepared.batch
    assert batch.depth is not None and batch.valid is not None
    counted = batch.valid if raw.opinion is None else batch.valid & raw.opinion
    columns = rules.fit.columns(int(counted.shape[-2]), int(counted.shape[-1]))
    if columns is not None:
        counted = counted & columns.to(counted.device)
    depth = align(raw.values, raw.kind, batch.depth, counted, mode, rules.fit)
    return clip(depth, rules) if rules.clamp else depth


def spread_of(raw: Raw, prepared: Prepared, mode: Alignment, rules: Protocol) -> Spread | None:
    """Return how sure the model is of the region's depth in metres; None where it does not tell, or bins disparity, or
    where the alignment is no line in depth.

    The deviation is multiplied by the alignment's factor, intervals are fitted and clipped as depth is. An alignment of
    depth is one factor and one offset per image, so it changes no order of uncertainty within an image.
    """
    spread, batch = raw.spread, prepared.batch
    if spread is None or not in_depth(mode, raw.kind):
        return None
    assert batch.depth is not None and batch.valid is not None
    counted = batch.valid if raw.opinion is None else batch.valid & raw.opinion
    scale, shift = depth_fit(raw.values, batch.depth, counted, mode)
    ends = None
    if spread.ends is not None:
        fitted = spread.ends * scale + shift
        fitted = clip(fitted, rules) if rules.clamp else fitted
        one, other = fitted[:, ::2], fitted[:, 1::2]  # a negative factor turns them round
        ends = torch.stack([torch.minimum(one, other), torch.maximum(one, other)], 2).flatten(1, 2)
    return Spread(std=spread.std * scale.abs(), entropy=spread.entropy, ends=ends)


def place(region_B1HW: Tensor, prepared: Prepared, rules: Protocol, *, fill: bool = False) -> Tensor:
    """Return a map of the region in the full frame of the ground truth.

    Around it: the nearest depth that the protocol knows, or True for a mask with ``fill``.
    """
    if rules.frame is None or not rules.frame.paste:
        return region_B1HW
    (top, left), (height, width) = prepared.corner, region_B1HW.shape[-2:]
    full = torch.full_like(prepared.depth, True if fill else around(rules), dtype=region_B1HW.dtype)
    full[..., top : top + height, left : left + width] = region_B1HW
    return full


def around(rules: Protocol) -> float:
    """Return the depth that a protocol knows where its frame ends: the nearest."""
    return max(rules.min_depth, FLOOR)


def clip(depth: Tensor, rules: Protocol) -> Tensor:
    """Return depth clipped to the protocol's ``limits``; NaN stays NaN."""
    return depth.clamp(*limits(rules))


def limits(rules: Protocol) -> tuple[float, float | None]:
    """Return the range that a protocol clips to, which is the one that counts where it names no other."""
    low, high = rules.clip_to or (rules.min_depth, rules.max_depth)
    return max(low, FLOOR), high


def _once(
    model: nn.Module, batch: Batch, prepared: Prepared, rules: Protocol, name: str, shares: Sequence[float] | None
) -> Raw:
    if isinstance(model, Predictions):
        return _stored(model, batch, prepared, rules, name)
    said = model.from_batch(batch) if hasattr(model, "from_batch") else model(batch.image)  # type: ignore[operator]
    return _read_out(said, model, batch, prepared, rules, name, shares)


def _stored(model: Predictions, batch: Batch, prepared: Prepared, rules: Protocol, name: str) -> Raw:
    """Return what files hold, image by image: each has its own size."""
    rows = []
    for i, image_id in enumerate(batch.ids):
        one = replace(batch.map_tensors(lambda tensor, i=i: tensor[i : i + 1]), ids=(image_id,))  # type: ignore[misc]
        said = model.from_batch(one)
        size = int(said.depth.shape[-2]), int(said.depth.shape[-1])
        if model.of is None:
            refuse_doubt(size, prepared, rules, name)
        model.doubts.turned += model.of != "cut" and is_turned(size, prepared)
        rows.append(_read_out(said, model, one, prepared, rules, name, None))
    holes = any(row.opinion is not None for row in rows)
    opinions = [row.values.isfinite() if row.opinion is None else row.opinion for row in rows]
    return Raw(
        map=torch.cat([row.values for row in rows]), kind=rows[0].kind,
        opinion=torch.cat(opinions) if holes else None,
    )


def _read_out(
    said: object, model: nn.Module, batch: Batch, prepared: Prepared, rules: Protocol, name: str,
    shares: Sequence[float] | None,
) -> Raw:
    if not isinstance(said, Prediction):
        raise PluginError(f"model '{name}' returns {type(said).__name__} instead of a Prediction; update that plugin")
    if said.depth.ndim != 4 or said.depth.shape[:2] != (len(batch), 1):
        shape = "x".join(map(str, said.depth.shape))
        raise PluginError(f"model '{name}' returns depth of shape {shape} instead of {len(batch)}x1xHxW")
    assert batch.depth is not None
    size = (int(batch.depth.shape[-2]), int(batch.depth.shape[-1]))
    whole = isinstance(model, Predictions) and model.of != "cut"

    def bring(one: Tensor, how: str) -> Tensor:
        return region_of(one, prepared, rules, how) if whole else resize_map(one, size, how)

    def meant(one: Tensor) -> Tensor:
        return model.depth_of(one) if isinstance(model, Predictions) else one

    read = read_out_of(model)
    values = own_map(said, read, prepared.focal)
    spread = None if shares is None else own_spread(said, read, prepared.focal, shares)
    if said.valid is None:
        if spread is not None:
            spread = resize_spread(spread, size, rules.resize)
        if _put_off(values, size, rules, model):
            return Raw(map=values, kind=said.kind, opinion=None, spread=spread, size=size)
        return Raw(map=meant(bring(values, rules.resize)), kind=said.kind, opinion=None, spread=spread)
    opinion = said.valid.to(torch.bool)
    # Numbers where the model has no opinion must not leak into their neighbours: weigh, resize, divide.
    weight = opinion.float()
    known = bring(weight, rules.resize)

    def resized(one: Tensor) -> Tensor:
        return bring(torch.where(opinion, one, 0), rules.resize) / known.clamp(min=FLOOR)

    values, where = resized(values), (bring(weight, "nearest") > 0.5) & (known > 0)
    if spread is not None:
        spread = spread.map(lambda one: torch.where(where, resized(one), 0))
    return Raw(map=torch.where(where, meant(values), 1), kind=said.kind, opinion=where, spread=spread)


def _put_off(values: Tensor, size: tuple[int, int], rules: Protocol, model: nn.Module) -> bool:
    """Whether a map may be enlarged later, and then perhaps at a few pixels alone."""
    larger = size[0] >= values.shape[-2] and size[1] >= values.shape[-1] and size != tuple(values.shape[-2:])
    plain = rules.resize == "bilinear" and values.dtype == torch.float32 and not isinstance(model, Predictions)
    return larger and plain and by_lists(values.device)
