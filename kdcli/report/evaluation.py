"""The report of an evaluation: metrics, paired differences, the worst images, and how it was measured."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.colour import colourise, legend, limits_of, with_legend
from kdcli.evals import uncertainty
from kdcli.evals.examples import Example, examine
from kdcli.evals.reference import Reference
from kdcli.evals.results import Result
from kdcli.evals.sparsification import REMOVED
from kdcli.report.html import Block, Curves, Facts, Gallery, Picture, Section, Table, Text, write_report
from kdcli.report.tables import (
    Rows,
    condition_rows,
    extra_rows,
    metric_rows,
    paired_rows,
    perturbed_rows,
    skipped_rows,
    uncertainty_rows,
)
from kdcli.version import __version__

_READING = (
    "Values are means over images with a 95 % bootstrap interval over images in brackets. silog is 100 times the root "
    "of the variance of the logarithmic error."
)
_BESIDE = (
    "Extra metrics that the protocol asks for: means over the images that have them, with 95 % intervals; n says how "
    "many that are where not all do."
)
_PAIRED = (
    "The same images are resampled for both models. The share says in how many resamples the difference is above zero."
)
_SURE = (
    "ause: area between what is left when the least certain pixels are removed first and the best possible order, 0 is "
    "perfect. aurg: area gained over chance, 0 is chance. coverage: share of pixels whose truth lies in the model's "
    "central interval of that probability; width: how wide that is. Means over images with 95 % intervals."
)
_MISLED = (
    "Each image changed to mislead the model, by at most so much a number of a colour in 0..1: fgsm in one step along "
    "the sign of the gradient of its error, pgd in ten steps of a fifth, of which the worst counts."
)
_UNLIKE = (
    "The models were aligned or read out (resized, averaged with the mirrored image) differently, as their depth kinds "
    "and authors want: compare with care."
)


def write_evaluation(
    path: Path,
    results: Sequence[Result],
    models: Mapping[str, nn.Module],
    source: Any,
    *,
    worst: int = 4,
    title: str | None = None,
    against: Reference | None = None,
) -> None:
    """Write an evaluation as one HTML file; the worst images by ``abs_rel`` of the first model are run once more.

    against: the teacher that took the place of ground truth.
    """
    told = None if against is None else f"Fidelity to {against.name} (not accuracy)"
    sections = [
        Section(title=told or "Metrics", blocks=[_table(metric_rows(results)), Text(text=_READING)]),
        Section(title="Conditions", blocks=_conditions(results)),
    ]
    if len(results) > 1:
        notes: list[Block] = [_table(paired_rows(results)), Text(text=_PAIRED)]
        if len({result.protocol.hash for result in results}) > 1:
            notes.append(Text(text=_UNLIKE))
        sections.insert(1, Section(title="Paired differences", blocks=notes))
    if any(result.extras is not None for result in results):
        sections.insert(-1, Section(title="Beside the nine", blocks=[_table(extra_rows(results)), Text(text=_BESIDE)]))
    if any(result.uncertainty is not None for result in results):
        sections.insert(-1, Section(title="Uncertainty", blocks=_uncertainty(results)))
    if any(result.perturbed is not None for result in results):
        misled: list[Block] = [_table(perturbed_rows(results)), Text(text=_MISLED)]
        sections.insert(-1, Section(title="Perturbed images", blocks=misled))
    if results[0].n and worst > 0:
        first = results[0]
        chosen = first.worst(worst)
        modes = {result.model: result.protocol.alignment for result in results}
        asked = first.asked or first.size
        shown = examine(models, source, chosen, first.protocol, align=modes, size=asked, against=against)
        unit = "m" if against is None else against.kind.unit
        blocks: list[Block] = [_gallery(example, first, unit) for example in shown]
        sections.append(Section(title=f"Worst {len(shown)} images of {first.model} by abs_rel", blocks=blocks))
    write_report(path, title or told or "Evaluation", [*sections, _provenance(results)])


def _conditions(results: Sequence[Result]) -> list[Block]:
    skipped = skipped_rows(results)
    blocks: list[Block] = [_table(condition_rows(results))]
    return [*blocks, _table(skipped)] if skipped[1] else [*blocks, Text(text="No image was skipped.")]


def _uncertainty(results: Sequence[Result]) -> list[Block]:
    """Return the numbers, and for each model and error a plot of what is left when uncertain pixels are removed."""
    blocks: list[Block] = [_table(uncertainty_rows(results)), Text(text=_SURE)]
    labels = {**{by: f"by {by}" for by in uncertainty.BY}, "oracle": "by the error itself"}
    for result in results:
        for error in uncertainty.ERRORS if result.uncertainty is not None else ():
            assert result.uncertainty is not None
            curves = {label: result.uncertainty.curve(error, by) for by, label in labels.items()}
            series = {label: list(zip(REMOVED, curve, strict=True)) for label, curve in curves.items()}
            blocks.append(Curves(
                series={label: points for label, points in series.items() if math.isfinite(points[0][1])},
                x_label="share of pixels removed, least certain first", y_label=f"{error}, relative",
                caption=f"{result.model}: {error} of the pixels that are left, as a share of that of all, mean over "
                "images; chance stays at 1.",
            ))
    return blocks


def _gallery(example: Example, first: Result, unit: str) -> Gallery:
    """Return image, ground truth, and each model's depth and error, in ranges that the models of a row share."""
    limits = limits_of(example.depth, example.valid)
    errors = {
        name: (depth - example.depth).abs() / example.depth.clamp(min=1e-6)
        for name, depth in example.predictions.items()
    }
    stacked = torch.cat(list(errors.values()))
    _, top = limits_of(stacked, example.valid.repeat(len(errors), 1), disparity=True)
    pictures = [
        Picture(image=example.image, caption="image"),
        Picture(
            image=_painted(example.depth, example.valid, limits, unit),
            caption=f"{first.against or 'ground truth'} that counts",
        ),
    ]
    for name, depth in example.predictions.items():
        pictures.append(Picture(image=_painted(depth, None, limits, unit), caption=f"{name}: aligned depth"))
        picture = colourise(errors[name], example.valid, disparity=True, limits=(0.0, top), name="magma")
        strip = legend(picture.shape[-1], (0.0, top), disparity=True, unit="rel", name="magma")
        pictures.append(Picture(image=with_legend(picture, strip), caption=f"{name}: |p - g| / g, 0 to {top:.3g}"))
    values = dict(zip(first.ids, first.values[:, 0].tolist(), strict=True))
    return Gallery(pictures=pictures, caption=f"{example.id} (abs_rel {values[example.id]:.4f})")


def _painted(depth: Tensor, valid: Tensor | None, limits: tuple[float, float], unit: str) -> Tensor:
    picture = colourise(depth, valid, limits=limits)
    return with_legend(picture, legend(picture.shape[-1], limits, unit=unit))


def _provenance(results: Sequence[Result]) -> Section:
    facts: dict[str, object] = {
        "source": results[0].source,
        "image size for the models": _sizes(results),
        "bootstrap seed": results[0].seed,
        "kdcli": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    for protocol in {result.protocol.hash: result.protocol for result in results}.values():
        facts[f"protocol {protocol.name}"] = json.dumps(protocol.describe())
    return Section(title="Provenance", blocks=[Facts(values=facts)])


def _sizes(results: Sequence[Result]) -> str:
    if len({result.seen_at for result in results}) == 1:
        return results[0].seen_at
    return "; ".join(f"{result.model}: {result.seen_at}" for result in results)


def _table(rows: Rows) -> Table:
    return Table(columns=rows[0], rows=rows[1])
