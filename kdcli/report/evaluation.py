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
from torch import nn

from kdcli.evals import uncertainty
from kdcli.evals.reference import Reference
from kdcli.evals.results import Result, remarks
from kdcli.evals.sets import SetResults
from kdcli.evals.sparsification import REMOVED
from kdcli.report.beside import typical_row
from kdcli.report.curves import cost_plots, distance_plots, forest_plots, image_plots
from kdcli.report.html import Block, Curves, Details, Facts, Lead, Section, Text, write_report
from kdcli.report.naming import keyed, renamed, short_names
from kdcli.report.numbers import doubts, licence_of, number_blocks, told_table
from kdcli.report.sets import rank_note, set_rows
from kdcli.report.tables import (
    condition_rows,
    extra_rows,
    paired_rows,
    perturbed_rows,
    skipped_rows,
    uncertainty_rows,
)
from kdcli.report.verdict import verdict, verdict_of_sets
from kdcli.report.worst import worst_section
from kdcli.version import __version__

_MOST_SKIPPED = 200

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
    told = None if against is None else _fidelity(against)
    names = short_names([result.model for result in results])
    results, models = renamed(results, names), keyed(models, names)
    shown = typical_row(results, models, source, against) if results[0].n and worst > 0 else []
    first = Section(title="Verdict", blocks=[*_answer(results, models), *shown])
    sections = _sections(results, models, source, worst, against)
    write_report(path, title or told or "Evaluation", [first, *sections, _provenance(results, models, names)])


def write_sets(
    path: Path, found: Sequence[SetResults], models: Mapping[str, Mapping[str, nn.Module]], *,
    worst: int = 4, against: Reference | None = None,
) -> None:
    """Write an evaluation on one set or several as one HTML file. models: by the name of the set, then their own."""
    if len(found) == 1:
        one = found[0]
        write_evaluation(path, one.results, models[one.set.name], one.set.source, worst=worst, against=against)
        return
    names = short_names([result.model for result in found[0].results])
    groups = [(one.set.name, renamed(one.results, names)) for one in found]
    sections = [Section(title="Verdict", blocks=[
        Lead(sentences=verdict_of_sets(groups)), told_table(set_rows(groups)), Text(text=rank_note(groups) + "."),
        *doubts([result for _, results in groups for result in results]),
    ])]  # fmt: skip
    for one, (name, results) in zip(found, groups, strict=True):
        own = keyed(models[name], names)
        sections.append(Section(title=f"{name}: {one.set.spec}", blocks=_answer(results, own)))
        inner = _sections(results, own, one.set.source, worst, against)
        sections += [
            Section(title=f"{name}: {section.title}", blocks=section.blocks, linked=False) for section in inner
        ]
    title = "Evaluation" if against is None else _fidelity(against)
    everything = [result for _, results in groups for result in results]
    shown = keyed(models[found[0].set.name], names)
    write_report(path, title, [*sections, _provenance(everything, shown, names)])


def _answer(results: Sequence[Result], models: Mapping[str, nn.Module]) -> list[Block]:
    """Return the verdict and the numbers that it is made of."""
    return [Lead(sentences=verdict(results)), *number_blocks(results, models)]


def _fidelity(against: Reference) -> str:
    return f"Fidelity to {against.name} (not accuracy)"


def _sections(
    results: Sequence[Result], models: Mapping[str, nn.Module], source: Any, worst: int, against: Reference | None
) -> list[Section]:
    """Return all that there is to show of one set, what most readers want first."""
    sections = []
    if results[0].n and worst > 0:
        sections.append(worst_section(results, models, source, worst, against))
    if len(results) > 1:
        sections.append(Section(title="Paired differences", blocks=_differences(results)))
        if plots := cost_plots(results):
            sections.append(Section(title="Accuracy and cost", blocks=plots))
    if any(result.extras is not None for result in results):
        sections.append(Section(title="Beside the nine", blocks=[told_table(extra_rows(results)), Text(text=_BESIDE)]))
    sections += [
        Section(title=title, blocks=blocks)
        for title, blocks in (
            ("Error against distance", distance_plots(results)),
            ("From the best image to the worst", image_plots(results)),
        )
        if blocks
    ]
    if any(result.uncertainty is not None for result in results):
        sections.append(Section(title="Uncertainty", blocks=_uncertainty(results)))
    if any(result.perturbed is not None for result in results):
        misled: list[Block] = [told_table(perturbed_rows(results)), Text(text=_MISLED)]
        sections.append(Section(title="Perturbed images", blocks=misled))
    return [*sections, Section(title="Conditions", blocks=_conditions(results))]


def _differences(results: Sequence[Result]) -> list[Block]:
    numbers = Details(summary="All paired differences", blocks=[told_table(paired_rows(results)), Text(text=_PAIRED)])
    blocks: list[Block] = [*forest_plots(results), numbers]
    if len({result.protocol.hash for result in results}) > 1:
        blocks.append(Text(text=_UNLIKE))
    return blocks


def _conditions(results: Sequence[Result]) -> list[Block]:
    skipped = skipped_rows(results, most=_MOST_SKIPPED)
    notes = [Text(text=note + ".") for note in remarks(results) if not note.startswith("warning: ")]
    blocks: list[Block] = [told_table(condition_rows(results)), *notes]
    return [*blocks, told_table(skipped)] if skipped[1] else [*blocks, Text(text="No image was skipped.")]


def _uncertainty(results: Sequence[Result]) -> list[Block]:
    """Return the numbers, and for each model and error a plot of what is left when uncertain pixels are removed."""
    blocks: list[Block] = [told_table(uncertainty_rows(results)), Text(text=_SURE)]
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


def _provenance(
    results: Sequence[Result], models: Mapping[str, nn.Module], names: Mapping[str, str]
) -> Section:
    facts: dict[str, object] = {
        **{f"licence of {name}": licence for name, model in models.items() if (licence := licence_of(model))},
        **{f"model {short}": name for name, short in names.items() if short != name},
        "source": ", ".join(dict.fromkeys(result.source for result in results)),
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
