"""Measure several models on the same images, each image decoded once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, DataError, PluginError
from kdcli.evals.alignment import UNKNOWNS, resolve
from kdcli.evals.baseline import Constant
from kdcli.evals.batches import Prepared, batches, positions, prepare
from kdcli.evals.cost import Cost, cost_of
from kdcli.evals.distances import Distances
from kdcli.evals.distances import per_image as by_distance
from kdcli.evals.extras.found import Extras, extras_of, geometry_of
from kdcli.evals.extras.registry import columns, weights
from kdcli.evals.listed import Listed, by_lists
from kdcli.evals.measure import listed, measured
from kdcli.evals.metrics import NAMES
from kdcli.evals.perturb import Perturbed, attacked_metrics, check_perturbed
from kdcli.evals.predict import Raw, depth_of, place, raw_prediction, spread_of
from kdcli.evals.protocol import Alignment, Protocol, find
from kdcli.evals.reference import Reference, as_known, check_reference, kind_against
from kdcli.evals.results import Result, Skipped
from kdcli.evals.rows import Rows
from kdcli.evals.sizes import rendered_at, views
from kdcli.evals.stored.model import Predictions
from kdcli.evals.tally import Tally, of_all
from kdcli.evals.uncertainty import SHARES, Uncertainty
from kdcli.evals.uncertainty import per_image as uncertainties
from kdcli.many.group import Group
from kdcli.networks.modes import modes_kept
from kdcli.networks.read_out import read_out_of
from kdcli.networks.shown_size import Asked
from kdcli.types import DepthKind, Geometry

Report = Callable[[int, int], None]
"""Called with images done and images in all."""


def evaluate(
    models: Mapping[str, nn.Module],
    source: Any,
    protocol: str | Protocol = "plain",
    *,
    align: str | None = None,
    flip: bool | None = None,
    device: torch.device | str | None = None,
    size: Asked | None = "own",
    batch_size: int = 8,
    seed: int = 0,
    progress: Report | None = None,
    limit: int | None = None,
    spec: str | None = None,
    uncertainty: bool = False,
    against: Reference | None = None,
    perturb: float | None = None,
    distances: bool = False,
    group: Group | None = None,
) -> dict[str, Result]:
    """Measure models on a source under a protocol; one pass over the images for all models.

    align: ``none``, ``median`` or ``scale-shift``; None and ``auto`` take the protocol's, or what the depth kind needs.
    flip: average with the mirrored image; None = as the protocol says, or else the model's ``read_out``. size: height
    and width that images are resized to before the models; ``own`` is for each model the size that it was made for
    (``MadeFor.eval_size``), ``native`` or None the images' own. Ground truth keeps its size, except in a source that
    renders, which renders both at the size where there is one for all models. limit: only the first so many images.
    spec: how the source is named in results; None = its own name. uncertainty: also measure whether models that tell
    how sure they are know where they are wrong (``Result.uncertainty``). against: a teacher whose depth takes the place
    of ground truth, which the source need not have; the protocol is then ``fidelity``. perturb: also measure the models
    on images that were changed to mislead them, by at most so much a number of a colour in 0..1
    (``kdcli.evals.perturb``). distances: also add up errors by distance (``kdcli.evals.distances``). group: of
    processes that each measure their part of the images; all get the results of all of them. Models are
    moved to the device; their training mode is what it was afterwards.

    Images without ground truth, without a pixel that counts, with no more pixels than the alignment has unknowns, or
    with a prediction that is not finite are in no metric; they are in ``Result.skipped`` with the reason. A model may
    so end with no image at all, which ``require_measured`` refuses.

    Raises:
        ConfigError: an unknown protocol or alignment, one that does not fit a model's depth kind, an endless source, a
            model that gives no gradient where ``perturb`` is asked for.
        DataError: no image has ground truth that counts. PluginError: a model returns something else than a prediction.
    """
    rules = rules_of(protocol, flip)
    check(models, source, rules, align, against)
    if perturb is not None:
        check_perturbed(models, perturb)
    rules = rules if against is None else against.rules(rules)
    order = positions(source, limit)
    mine = order if group is None else order[group.rank :: group.size]
    match_stored(models if against is None else {**models, "": against.model}, source)
    tallies = {name: Tally(rows=Rows(more=len(columns(rules.extras)))) for name in models}
    own = {name: rules.for_model(read_out_of(model)) for name, model in models.items()}
    where = device_of(models, device)
    done, first = 0, None
    everyone = models if against is None else {**models, "": against.model}
    with evaluating(everyone, where):
        rendered = rendered_at(everyone, size)
        for indices, batch in batches(source, mine, batch_size=batch_size, size=rendered, device=where):
            prepared = prepare(batch if against is None else against.label(batch, size), rules)
            open_rows = _usable(indices, prepared, tallies, rules.least, against)
            if open_rows:
                kept = _select(prepared, open_rows)
                pixels = listed(kept) if by_lists(kept.depth.device) else None
                first = first or _select(kept, [0])
                places = [indices[i] for i in open_rows]
                geometry = geometry_of(source, places, kept, rules)
                for (name, model), shown in zip(models.items(), views(models, kept, size), strict=True):
                    tallies[name].seen.add(kept.batch.image, shown.batch.image)
                    _measure(name, model, shown, pixels, places, own[name], align, tallies[name], uncertainty, against,
                             perturb, geometry, distances)
            done += len(indices)
            if progress is not None:
                progress(done if group is None else min(done * group.size, len(order)), len(order))
        shown_first = [None] * len(models) if first is None else views(models, first, size)
        costs = {
            name: _cost(name, model, one, rules) for (name, model), one in zip(models.items(), shown_first, strict=True)
        }
    if group is not None:
        tallies = of_all(tallies, group)
    if not any(tally.kind for tally in tallies.values()):
        _refuse_empty(source, next(iter(tallies.values())), len(order))
    named = spec or str(getattr(source, "name", ""))
    return {
        name: _result(name, tally, named, own[name], align, seed, size, models[name],
                      costs[name], against, perturb)
        for name, tally in tallies.items()
    }


def match_stored(models: Mapping[str, nn.Module], source: Any) -> None:
    """Let models that are predictions on disk find those of a source's images.

    Raises:
        DataError: one has none of them.
    """
    for model in models.values():
        if isinstance(model, Predictions):
            model.match(source)


def rules_of(protocol: str | Protocol, flip: bool | None) -> Protocol:
    """Return the protocol of a name, with or without flip where that is said."""
    rules = find(protocol) if isinstance(protocol, str) else protocol
    return rules if flip is None else rules.modified("flip" if flip else "no-flip")


def device_of(models: Mapping[str, nn.Module], device: torch.device | str | None) -> torch.device:
    """Return the device asked for, or the one that the first model is on."""
    if device is not None:
        return torch.device(device)
    tensors = (p for model in models.values() for p in model.parameters())
    return next((p.device for p in tensors), torch.device("cpu"))


@contextmanager
def evaluating(models: Mapping[str, nn.Module], device: torch.device) -> Iterator[None]:
    """Put models on the device in evaluation mode without gradients; restore every module's mode afterwards."""
    # Not inference mode: a network may cache a tensor in forward, and the live student is trained on afterwards.
    with modes_kept(*models.values()), torch.no_grad():
        for model in models.values():
            model.to(device).eval()
        yield


def _measure(
    name: str,
    model: nn.Module,
    prepared: Prepared,
    pixels: Sequence[Listed] | None,
    indices: list[int],
    rules: Protocol,
    align: str | None,
    tally: Tally,
    uncertainty: bool,
    against: Reference | None,
    perturb: float | None,
    geometry: Sequence[Geometry | None],
    distances: bool,
) -> None:
    raw = raw_prediction(model, prepared, rules, name, SHARES if uncertainty else None)
    if tally.kind not in (None, raw.kind):
        raise PluginError(f"model '{name}' gives depth kind {raw.kind} after {tally.kind}; a model has one kind")
    tally.kind = raw.kind
    raw = raw if against is None else as_known(raw, against.kind)
    if isinstance(model, Predictions):
        assert prepared.batch.depth is not None and prepared.batch.valid is not None
        told = prepared.batch.valid if raw.opinion is None else prepared.batch.valid & raw.opinion
        model.doubts.look(raw.values, raw.kind, prepared.batch.depth, told)
    mode = resolve(align, raw.kind, rules.alignment)
    found = measured(raw, prepared, pixels, rules, mode)
    more: list[list[float]] = [[]] * len(indices)
    if rules.extras:
        said = None if raw.opinion is None else place(raw.opinion, prepared, rules, fill=True)
        valid = prepared.valid if said is None else prepared.valid & said
        depth = place(depth_of(raw, prepared, mode, rules), prepared, rules)
        more = extras_of(rules.extras, depth, prepared, valid, geometry, said)
    sure = _sureness(raw, prepared, mode, rules)
    far = None
    if distances:
        depth, counted = depth_of(raw, prepared, mode, rules), prepared.batch.valid
        assert prepared.batch.depth is not None and counted is not None
        counted = counted if raw.opinion is None else counted & raw.opinion
        far = by_distance(depth, prepared.batch.depth, counted)
    attacked = None
    if perturb is not None:
        known = None if against is None else against.kind
        attacked = attacked_metrics(model, prepared, rules, mode, name, perturb, known)
    unknowns = UNKNOWNS[mode] + int(getattr(model, "unknowns", 0))
    values = found.values.numpy()
    for row, (index, image_id) in enumerate(zip(indices, prepared.batch.ids, strict=True)):
        bad = [metric for metric, value in zip(NAMES, values[row].tolist(), strict=True) if not math.isfinite(value)]
        pixels_here, broken, fitted = found.pixels[row], found.broken[row], found.fitted[row]
        lacking = model.lacking(image_id) if isinstance(model, Predictions) else None
        if lacking is not None:
            reason = lacking
        elif not pixels_here:
            reason = "the model has no opinion on any pixel that counts"
        elif broken:
            reason = f"the prediction is not finite at {broken} of {pixels_here} pixels that count"
        elif fitted <= unknowns and unknowns:
            how = f"alignment '{mode}'" if UNKNOWNS[mode] else f"model '{name}'"
            reason = f"{how} fits {unknowns} numbers to {fitted} pixels, which leaves nothing to measure"
        elif bad:
            reason = f"{', '.join(bad)} is not finite"
        else:
            tally.rows.add(index, image_id, [*values[row].tolist(), *more[row]], pixels_here)
            if sure is not None:
                tally.sure[index] = (sure[0][row].clone(), sure[1][row].clone())
            if far is not None:
                tally.far[index] = far[row]
            if attacked is not None:
                tally.attacked[index] = {attack: metrics[row].clone() for attack, metrics in attacked.items()}
            continue
        tally.skipped[index] = Skipped(id=image_id, reason=reason)


def _sureness(raw: Raw, prepared: Prepared, mode: Alignment, rules: Protocol) -> tuple[Tensor, Tensor] | None:
    """Return numbers and curves of ``kdcli.evals.uncertainty`` of each image, None where the model does not tell."""
    spread = spread_of(raw, prepared, mode, rules)
    if spread is None:
        return None
    shown = prepared.batch
    assert shown.depth is not None and shown.valid is not None
    counted = shown.valid if raw.opinion is None else shown.valid & raw.opinion
    numbers, curves = uncertainties(depth_of(raw, prepared, mode, rules), shown.depth, counted, spread)
    return numbers.cpu(), curves.cpu()


def _usable(
    indices: list[int], prepared: Prepared, tallies: Mapping[str, Tally], least: int, against: Reference | None
) -> list[int]:
    """Return the rows with ground truth that counts; write the others down for every model."""
    labelled = prepared.batch.labelled
    assert labelled is not None
    if prepared.pixels is not None:
        pixels = [len(one) for one in prepared.pixels]
    else:
        pixels = prepared.valid.flatten(1).sum(1).tolist()
    for row, count in enumerate(pixels):
        if count >= least:
            continue
        reason = "no ground truth"
        if labelled[row]:
            few = f"{count} valid pixels under the protocol, which wants {least}"
            reason = few if count else "no valid pixel under the protocol"
        if against is not None and isinstance(against.model, Predictions):
            reason = against.model.lacking(prepared.batch.ids[row]) or reason
        for tally in tallies.values():
            tally.skipped[indices[row]] = Skipped(id=prepared.batch.ids[row], reason=reason)
    return [row for row, count in enumerate(pixels) if count >= least]


def _select(prepared: Prepared, rows: list[int]) -> Prepared:
    if len(rows) == len(prepared.batch):
        return prepared
    at = torch.tensor(rows, device=prepared.depth.device)
    batch = prepared.batch.select(at)
    focal = None if prepared.focal is None else prepared.focal[at]
    camera = None if prepared.camera is None else prepared.camera[at]
    pixels = None if prepared.pixels is None else tuple(prepared.pixels[row] for row in rows)
    depth, valid = prepared.depth[at], prepared.valid[at]
    return replace(prepared, batch=batch, depth=depth, valid=valid, pixels=pixels, focal=focal, camera=camera)


def _cost(name: str, model: nn.Module, one: Prepared | None, rules: Protocol) -> Cost:
    """Return what a model costs for one image, seen as all were seen, but not mirrored."""
    if one is None:
        return cost_of(model)
    plain = replace(rules.for_model(read_out_of(model)), flip=False)
    height, width = one.batch.image.shape[-2:]
    return cost_of(model, lambda form: raw_prediction(form, one, plain, name), (height, width))


def _result(
    name: str, tally: Tally, source: str, rules: Protocol, align: str | None, seed: int, asked: Asked | None,
    model: nn.Module, cost: Cost, against: Reference | None, perturb: float | None,
) -> Result:
    kind = tally.kind if against is None or tally.kind is None else kind_against(tally.kind, against.kind)
    used = rules if kind is None else rules.modified(resolve(align, kind, rules.alignment))
    rows = tally.rows.sorted()
    sure = [tally.sure[index] for index in rows.indices if index in tally.sure]
    attacked = [tally.attacked[index] for index in rows.indices if index in tally.attacked]
    return Result(
        model=name,
        depth_kind=tally.kind,
        protocol=used,
        indices=tuple(rows.indices),
        ids=tuple(rows.ids),
        values=rows.values,
        pixels=rows.pixels,
        skipped=tuple(tally.skipped[index] for index in sorted(tally.skipped)),
        size=None if isinstance(model, Predictions | Constant) else tally.seen.size(model, asked),
        sizes=tally.seen.several(model, asked),
        asked=asked,
        notes=(*tally.seen.notes(model, asked), *(model.notes if isinstance(model, Predictions) else ())),
        source=source,
        seed=seed,
        against=None if against is None else against.name,
        cost=cost,
        extras=Extras(
            names=columns(used.extras), values=rows.extras, weights=weights(used.extras), seed=seed
        ) if used.extras else None,
        distances=Distances.of([tally.far[index] for index in rows.indices]) if tally.far else None,
        uncertainty=Uncertainty.of(sure, seed) if sure else None,
        perturbed=(
            Perturbed.of(attacked, rows.pixels, perturb, used.aggregation, seed) if perturb and attacked else None
        ),
    )


def check(
    models: Mapping[str, nn.Module], source: Any, protocol: str | Protocol, align: str | None,
    against: Reference | None = None,
) -> None:
    """Refuse what cannot work before the first image is touched.

    Raises:
        ConfigError: an unknown protocol or alignment, or one that does not fit a model's depth kind.
        DataError: the source has no ground truth.
    """
    rules = rules_of(protocol, None)
    if not models:
        raise ConfigError("there is no model to evaluate; name at least one")
    if against is not None:
        check_reference(models, rules, align, against)
        return
    if rules.truth == "teacher":
        raise ConfigError(f"protocol '{rules.name}' needs a teacher to measure against; use --against teacher:SPEC")
    truth = getattr(source, "depth_kind", DepthKind.METRIC)
    name = getattr(source, "name", type(source).__name__)
    if truth is None:
        raise DataError(f"source '{name}' has no ground truth to measure against; use one with depth")
    if truth is not DepthKind.METRIC:
        raise ConfigError(f"ground truth of source '{name}' is of kind {truth}; evaluation needs metric depth")
    for name, model in models.items():
        if rules.flip and isinstance(model, Predictions):
            instead = "leave out +flip" if "flip" in rules.name.split("+") else f"use {rules.name}+no-flip"
            raise ConfigError(
                f"protocol '{rules.name}' averages with mirrored images, of which '{name}' holds no predictions; "
                f"{instead}"
            )
        kind = getattr(model, "depth_kind", None)
        resolve(align, DepthKind(kind) if kind is not None else DepthKind.METRIC, rules.alignment)


def _refuse_empty(source: Any, tally: Tally, total: int) -> None:
    name = getattr(source, "name", type(source).__name__)
    first = next(iter(tally.skipped.values()), None)
    why = "it is empty" if first is None else f"the first, '{first.id}': {first.reason}"
    raise DataError(f"none of the {total} images of source '{name}' can be evaluated; {why}")
