"""What follows training: evaluation beside teacher and twin, a picture, a report, an exported student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdcli.config import RunConfig
from kdcli.config.references import roles_of
from kdcli.evals import evaluate, examine
from kdcli.evals.examples import Example
from kdcli.evals.measured import Measured
from kdcli.evals.reference import NAME, Reference, answers_from_data
from kdcli.evals.results import require_measured, write_csv
from kdcli.files import write_json
from kdcli.many.sharded import is_shared_out
from kdcli.models import load_model
from kdcli.protocols import Source
from kdcli.students.files import read_card
from kdcli.training.run.fidelity import references_of
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.following import writes
from kdcli.training.run.progress import Progress
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.mixing import MixStep, apply
from kdcli.types import Batch

PICTURES = 6
"""Images shown in a run's picture."""


def evaluate_run(shop: Workshop, run: RunFolder, progress: Progress, *, teachers: bool = True) -> Measured | None:
    """Measure teacher (unless without ``teachers``), student and twin on the same held-out images, and write it down.

    None without evaluation data. Of several processes each measures its part of the images, and the first one writes;
    the others return None.
    """
    config = shop.config
    if config.eval_data is None:
        progress.note("no evaluation data: accuracy was not measured; give --eval-data SPEC")
        return None
    source = shop.source(config.eval_data)
    progress.note(f"evaluating on {config.eval_data}, protocol {config.protocol}")
    models = {role: model for role, model in models_of(shop, run).items() if teachers or not role.startswith("teacher")}
    results = evaluate(
        models,
        source,
        config.protocol,
        align=config.align,
        device=shop.device,
        size=config.evaluated_at,
        seed=config.seed,
        spec=config.eval_data,
        progress=lambda done, total: progress.count("evaluated", done, total),
        distances=True,
        group=shop.group,
    )
    if not writes(shop.group):
        return None
    measured = Measured(results=results, models=models, source=source)
    write_json(run.path / "eval" / "results.json", measured.documents())
    write_csv(run.path / "eval" / "per_image.csv", list(results.values()))
    require_measured(results.values())
    return measured


def models_of(shop: Workshop, run: RunFolder) -> dict[str, nn.Module]:
    """Return the models of a run by role: teacher (further ones are counted), student, twin.

    A teacher that answers from the data is none of them: measured against itself it would have no error. Those that are
    shared out are left away too: the first process alone could not run them.
    """
    teachers = zip(roles_of(shop.config.main), shop.teachers(shop.config.main).values(), strict=True)
    models: dict[str, nn.Module] = {
        role: model for role, model in teachers if not answers_from_data(model) and not is_shared_out(model)
    }
    models["student"] = load_model(run.student, shop.device)
    if run.twin.is_file():
        models["twin"] = load_model(run.twin, shop.device)
    return models


def examples_of(
    shop: Workshop, run: RunFolder, count: int = PICTURES, against: Reference | None = None
) -> list[Example]:
    """Return held-out images with ground truth and each model's aligned depth.

    against: a teacher in the place of ground truth, on the images that the run held out.
    """
    config, models = shop.config, models_of(shop, run)
    if against is None:
        assert config.eval_data is not None
        source, protocol, align = shop.source(config.eval_data), config.protocol, config.align
    else:
        assert shop.holdout is not None
        models = {role: model for role, model in models.items() if not role.startswith("teacher")}
        source, protocol, align = shop.holdout.measured, NAME, None
    number = min(len(source), 10**6)
    chosen = sorted({round(i * (number - 1) / max(count - 1, 1)) for i in range(count)})
    examples = examine(
        models, source, chosen, protocol, align=align, device=shop.device, size=config.evaluated_at, against=against,
    )
    # Without ground truth there is nothing to align to and nothing to compare with.
    return [example for example in examples if example.valid.any()]


def picture_of_run(shop: Workshop, run: RunFolder) -> list[Example]:
    """Draw what the training images became, and what teacher, student and twin say of held-out ones; return these."""
    from kdcli.report.picture import comparison, contact_sheet

    examples = examples_of(shop, run) if shop.config.eval_data is not None else []
    if examples:
        comparison(run.path / "picture.png", examples, unit="m")
    elif shop.holdout is not None:
        examples = _picture_of_fidelity(shop, run)
    stage = shop.config.main
    batch = shop.first(stage)
    rows: dict[str, Tensor] = {"source": batch.image[:PICTURES].cpu()}
    mixers = shop.mixers(stage, run.transform)
    if mixers:
        generator = torch.Generator(device=shop.device).manual_seed(shop.config.seed)
        batch = apply(batch, mixers, MixStep(step=0, stage=stage.name, progress=0.0, generator=generator))
        seen = "as teacher and student see it" if references_of(shop) else "as the student sees it"
        rows[seen] = batch.image[:PICTURES].float().clamp(0, 1).cpu()
    contact_sheet(run.path / "images.png", rows)
    return examples


def _picture_of_fidelity(shop: Workshop, run: RunFolder) -> list[Example]:
    """Draw what the first teacher and student and twin say of held-out images, and how far they are from it."""
    from kdcli.report.picture import comparison

    for role, teacher in references_of(shop).items():
        examples = examples_of(shop, run, against=teacher)
        if examples:
            comparison(run.path / "picture.png", examples, unit=teacher.kind.unit, truth=role, differences=True)
            return examples
    return []


def export_run(shop: Workshop, run: RunFolder, progress: Progress) -> Path | None:
    """Export the student and prove on held-out images that the file gives the same numbers."""
    from kdcli.exporters import export

    form = shop.config.export
    if form is None:
        return None
    images = _held_out_images(shop)
    path = run.path / f"student.{form}"
    told = export(load_model(run.student), form, path, images=images, card=read_card(run.student))
    worst = told.worst
    drift = "not compared" if worst is None else f"largest relative difference {worst.relative:.1e}"
    progress.note(f"exported {path.name}: {told.bytes / 2**20:.1f} MiB, {drift}")
    run.update(export={"file": path.name, "sha256": told.sha256, "notes": list(told.notes), "parity": drift})
    return path


def _held_out_images(shop: Workshop) -> Tensor:
    config = shop.config
    if shop.holdout is not None:
        source: Source = shop.holdout.images
    else:
        source = shop.source(config.eval_data or config.main.data)
    height, width = config.main.size
    count = min(len(source), 4)
    if hasattr(source, "batch"):
        made: Batch = source.batch(list(range(count)), (height, width), torch.device("cpu"))
        return made.image
    images = [source[i].image[None] for i in range(count)]
    return torch.cat([F.interpolate(i, size=(height, width), mode="bilinear", antialias=True) for i in images]).clamp(
        0, 1
    )


def labels_of(config: RunConfig) -> dict[str, str]:
    """Return what a run's tables call its models, by role."""
    twin = {} if config.twin is None else {"twin": f"twin ({config.twin.label})"}
    return roles_of(config.main) | twin


def stage_rows(config: RunConfig, run: RunFolder) -> list[dict[str, str]]:
    """Return what each stage trains, by whom it is taught, and the file that it left behind, if any."""
    rows, along = [], run.manifest().get("networks", {})
    for stage in config.stages:
        trained = stage.student or config.student if stage.train == "student" else "a transformation network"
        row = {"stage": stage.name, "trains": trained}
        row |= {"without": ", ".join(stage.freeze)} if stage.freeze else {}
        row |= {"taught by": ", ".join(stage.teachers)}
        row |= {"kept as": f"stages/{stage.name}.safetensors"} if run.stage(stage.name).is_file() else {}
        beside = [file for file, facts in along.items() if facts.get("stage") == stage.name]
        row |= {"trained along": ", ".join(beside)} if beside else {}
        rows.append(row)
    return rows


def report_of_run(
    run: RunFolder, config: RunConfig, measured: Measured | None, fidelity: Mapping[str, Measured],
    examples: Sequence[Example], seconds: float,
) -> None:  # fmt: skip
    """Write the run's one-file report. examples: held-out images, as ``picture_of_run`` returns them."""
    from kdcli.report.run_report import write_run_report

    mixed = bool(config.main.mixers) or config.main.transform not in (None, "none")
    write_run_report(
        run.path,
        run.manifest(),
        run.metrics(),
        accuracy=measured,
        fidelity=fidelity,
        examples=examples,
        about=config.about,
        labels=labels_of(config),
        mixed=mixed,
        seconds=seconds,
    )
