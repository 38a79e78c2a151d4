"""The report of a run: what it came to, what it looks like, how it went, what it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdcli.documents import read_text
from kdcli.evals.examples import Example
from kdcli.evals.measured import Measured
from kdcli.evals.results import Result
from kdcli.report.beside import picture_rows
from kdcli.report.common import on_common
from kdcli.report.curves import distance_plots, image_plots
from kdcli.report.html import Block, Details, Facts, Lead, Picture, Section, Text, write_report
from kdcli.report.made_from import made_from
from kdcli.report.naming import keyed, renamed
from kdcli.report.numbers import number_blocks, told_table
from kdcli.report.run_verdict import run_verdict
from kdcli.report.tables import paired_rows
from kdcli.report.training import hard_sections, training_sections
from kdcli.report.worst import worst_section

WORST = 4
"""Images of a run that are shown because the student is worst on them."""
_FIDELITY = (
    "On images that the run held out of training: how near models come to what the teacher says of them. The teacher "
    "may be wrong."
)


def write_run_report(
    folder: Path,
    manifest: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    *,
    accuracy: Measured | None = None,
    fidelity: Mapping[str, Measured] | None = None,
    examples: Sequence[Example] = (),
    about: str = "",
    labels: Mapping[str, str] | None = None,
    mixed: bool = False,
    seconds: float,
) -> None:
    """Write ``report.html`` into a run's folder, with its pictures embedded.

    Args:
        metrics: of each logged step. accuracy, fidelity: what was measured, the latter by each teacher's role.
        examples: held-out images, measured as ``accuracy`` was, or else as the first of ``fidelity``.
        about: what its recipe is. labels: of models, by role. mixed: whether training images are mixed or transformed.
    """
    labels, told = labels or {}, dict(fidelity or {})
    sections = list[Section]()
    if accuracy is not None:
        sections += _measured(accuracy, labels, "Results", examples, [])
        examples = ()
    for role, one in told.items():
        title = f"Fidelity to the {labels.get(role, role)} (not accuracy)"
        how: list[Block] = [Text(text=_FIDELITY), Facts(values={"held out": manifest.get("holdout", {}).get("rule")})]
        sections += _measured(one, labels, title, examples, how)
        examples = ()
    if not sections:
        lead = Lead(sentences=["Nothing was measured: the run has no evaluation data and holds no images out."])
        sections.append(Section(title="Results", blocks=[lead]))
    sections += training_sections(metrics, manifest.get("scale"))
    sections += hard_sections(manifest.get("hard_images", {}))
    if drawn := _drawings(folder, mixed):
        sections.append(Section(title="Images in training", blocks=drawn))
    config = read_text(folder / "config.toml", "the run is damaged: start another", names=True)
    sections.append(made_from(manifest, seconds, config, about))
    write_report(folder / "report.html", f"kdcli run {folder.name}", sections)


def _measured(
    measured: Measured, labels: Mapping[str, str], title: str, examples: Sequence[Example], how: Sequence[Block]
) -> list[Section]:
    """Return the verdict with its table and pictures, then the worst images, then error over distance and images."""
    roles = sorted(measured.results, key=lambda role: (role != "student", role != "twin", role))
    names = {role: "twin" if role == "twin" else labels.get(role, role) for role in roles}  # its label is long
    results = renamed([measured.results[role] for role in roles], {measured.results[r].model: names[r] for r in roles})
    models = keyed({role: measured.models[role] for role in roles}, names)
    unit = "m" if measured.against is None else measured.against.kind.unit
    first: list[Block] = [
        Lead(sentences=run_verdict(measured.results, labels)),
        *number_blocks(results, models),
        *picture_rows(examples, names, results[0].against or "ground truth", unit),
        *_paired(results), Details(summary="How it was measured", blocks=[*how, Facts(values=_facts(results))]),
    ]  # fmt: skip
    sections = [Section(title=title, blocks=first)]
    if results[0].n:
        shown = worst_section(results, models, measured.source, WORST, measured.against)
        beside = "" if measured.against is None else f" beside {measured.against.name}"
        sections.append(Section(title=shown.title + beside, blocks=shown.blocks))
    plots = [*distance_plots(results), *image_plots(results)]
    if plots:
        what = "Error against distance" if measured.against is None else f"{title}: error against distance"
        sections.append(Section(title=what, blocks=plots))
    return sections


def _paired(results: Sequence[Result]) -> list[Block]:
    if len(results) < 2:
        return []
    rows = told_table(paired_rows(on_common(results), turned=True))
    return [Details(summary="Paired differences on the same images, all metrics", blocks=[rows])]


def _facts(results: Sequence[Result]) -> dict[str, object]:
    first = results[0]
    return {
        "data": first.source, "images": first.n, "skipped": len(first.skipped),
        "protocol": f"{first.protocol.name} ({first.protocol.hash})",
        **{f"alignment of {one.model}": one.protocol.alignment for one in results},
        **{f"{one.model} saw images at": one.seen_at for one in results},
    }  # fmt: skip


def _drawings(folder: Path, mixed: bool) -> list[Block]:
    seen = "as they are and after mixing and transformation" if mixed else "as they are"
    return [
        Picture(image=_read(path), caption=caption)
        for name, caption in (
            ("images.png", f"Training images {seen}."),
            (
                "transform-images.png",
                "What the transformation network does to images, and to what the teacher sees in them.",
            ),
            (
                "transform-layers.png",
                "Distance to the teacher's feature statistics before and after the fit, on images set aside.",
            ),
        )
        if (path := folder / name).is_file()
    ]


def _read(path: Path) -> Any:
    """Return a picture of the run's folder as 3 x H x W in 0..1, which takes less on the page than its file."""
    from kdcli.images import read_image

    return read_image(path)
