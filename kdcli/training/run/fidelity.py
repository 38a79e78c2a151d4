"""How near student and twin come to their teacher on images that the run held out: fidelity, not accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from kdcli.config.references import roles_of, teachers_of
from kdcli.errors import ConfigError, DataError
from kdcli.evals import check, evaluate
from kdcli.evals.measured import Measured
from kdcli.evals.reference import NAME, Reference, answers_from_data
from kdcli.evals.results import write_csv
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
) -> dict[str, Measured]:
    """Measure student and twin against each teacher on the held-out images, and write it down.

    models: the trained ones by role. Returns what was measured by each teacher's role; a teacher of whom no held-out
    image can be measured is said and left out.
    """
    if shop.holdout is None:
        return {}
    images, config = shop.holdout.measured, shop.config
    trained = {role: model for role, model in models().items() if not role.startswith("teacher")}
    found: dict[str, Measured] = {}
    for role, reference in references_of(shop).items():
        progress.note(f"fidelity to the {role} (not accuracy) on {len(images)} held-out images of {config.main.data}")
        try:
            results = evaluate(
                trained, images, NAME, device=shop.device, size=config.evaluated_at, seed=config.seed,
                spec=config.main.data, against=reference,
                distances=True, progress=lambda done, total: progress.count("held against the teacher", done, total),
            )
        except DataError as error:
            progress.note(f"fidelity to the {role} was not measured: {error}")
            continue
        found[role] = Measured(results=results, models=trained, source=images, against=reference)
    if found:
        write_json(run.path / "fidelity" / "results.json", documents_of(found))
        write_csv(run.path / "fidelity" / "per_image.csv", [r for one in found.values() for r in one.results.values()])
    return found


def documents_of(found: Mapping[str, Measured]) -> dict[str, Any]:
    """Return result documents by role, for each teacher's role."""
    return {role: measured.documents() for role, measured in found.items()}
