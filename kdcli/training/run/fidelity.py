"""How near student and twin come to their teacher on images that the run held out: fidelity, not accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from kdcli.config.references import roles_of, teachers_of
from kdcli.errors import ConfigError, DataError
from kdcli.evals import check, compare, evaluate
from kdcli.evals.reference import NAME, Reference, answers_from_data
from kdcli.evals.results import Result, write_csv
from kdcli.files import write_json
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.progress import Progress
from kdcli.training.run.workshop import Workshop


def references_of(shop: Workshop) -> dict[str, Reference]:
    """Return the main stage's teachers by role, without those that answer from the data."""
    main = shop.config.main
    specs = teachers_of(main)
    return {
        role: Reference(model=teacher, name=specs[name])
        for role, (name, teacher) in zip(roles_of(main), shop.teachers(main).items(), strict=True)
        if not answers_from_data(teacher)
    }


def check_fidelity(shop: Workshop, student: nn.Module) -> None:
    """Refuse to hold images out for nothing.

    Raises:
        ConfigError: no teacher answers from an image.
    """
    if shop.holdout is None:
        return
    references = references_of(shop)
    if not references:
        specs = ", ".join(f"'{spec}'" for spec in teachers_of(shop.config.main).values())
        raise ConfigError(
            f"holdout={shop.config.holdout:g} measures how near the student comes to its teacher, but {specs} answers "
            "from the data; leave holdout out, and measure accuracy by eval_data"
        )
    for reference in references.values():
        check({"student": student}, shop.holdout.measured, NAME, None, reference)


def fidelity_of_run(
    shop: Workshop, run: RunFolder, progress: Progress, models: Callable[[], Mapping[str, nn.Module]]
) -> dict[str, Any]:
    """Measure student and twin against each teacher on the held-out images, and write it down.

    models: the trained ones by role. Returns, for each teacher's role, result documents by role as ``evaluate_run``
    does; a teacher of whom no held-out image can be measured is said and left out.
    """
    if shop.holdout is None:
        return {}
    images, config = shop.holdout.measured, shop.config
    trained = {role: model for role, model in models().items() if not role.startswith("teacher")}
    documents: dict[str, Any] = {}
    rows: list[Result] = []
    for role, reference in references_of(shop).items():
        progress.note(f"fidelity to the {role} (not accuracy) on {len(images)} held-out images of {config.main.data}")
        try:
            results = evaluate(
                trained, images, NAME, device=shop.device, size=config.evaluated_at, seed=config.seed,
                spec=config.main.data, against=reference,
                progress=lambda done, total: progress.count("held against the teacher", done, total),
            )
        except DataError as error:
            progress.note(f"fidelity to the {role} was not measured: {error}")
            continue
        documents[role] = {name: result.document() for name, result in results.items()}
        documents[role]["student"]["paired"] = {
            name: compare(results["student"], result).document() for name, result in results.items()
            if name != "student"
        }
        rows += results.values()
    if documents:
        write_json(run.path / "fidelity" / "results.json", documents)
        write_csv(run.path / "fidelity" / "per_image.csv", rows)
    return documents
