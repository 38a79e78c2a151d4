"""Where the weights of a run's teachers and students come from, for manifest, card and licence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from kdcli.config import StageConfig, teachers_of
from kdcli.config.references import STAGE, origin_of
from kdcli.errors import WeightsError
from kdcli.training.run.workshop import Workshop
from kdcli.types import Provenance


def provenance(shop: Workshop) -> list[dict[str, object]]:
    """Return where the weights of all teachers of a run come from, the main stage's first.

    Those of an auxiliary teacher's own teachers are among them: what it learned from them goes on into the student.
    """
    return teachers_behind(shop, [shop.config.main, *shop.config.stages])


def inherited(shop: Workshop, stage: StageConfig, student: nn.Module) -> dict[str, Any]:
    """Return what the card of a stage's own network says: its teachers and its licence, those of earlier stages too."""
    origin = origin_of(shop.config.stages, stage)
    mine = [other for other in shop.config.stages if origin_of(shop.config.stages, other) == origin]
    return licensed(teachers_behind(shop, mine), student)


def teachers_behind(shop: Workshop, stages: list[StageConfig]) -> list[dict[str, object]]:
    """Return one row a teacher; a result of an earlier stage stands for all teachers of that stage's network."""
    return [origin(spec, model) for spec, model in models_behind(shop, stages).items()]


def models_behind(shop: Workshop, stages: list[StageConfig]) -> dict[str, nn.Module]:
    """Return the teachers of ``teachers_behind`` by spec."""
    found: dict[str, nn.Module] = {}
    waiting, seen = list(stages), set()
    while waiting:
        stage = waiting.pop(0)
        if stage.name in seen:
            continue
        seen.add(stage.name)
        for name, spec in teachers_of(stage).items():
            if spec.startswith(STAGE):
                waiting += _same_network(shop, spec.removeprefix(STAGE))
            elif spec not in found:
                found[spec] = shop.teachers(stage)[name]
    return found


def _same_network(shop: Workshop, name: str) -> list[StageConfig]:
    """Return a stage and the others that trained the same network, up to it."""
    stages = shop.config.stages
    last = next(i for i, stage in enumerate(stages) if stage.name == name)
    network = origin_of(stages, stages[last])
    return [
        stage for stage in stages[: last + 1] if stage.train == "student" and origin_of(stages, stage) == network
    ]


def licensed(teachers: list[dict[str, object]], student: nn.Module) -> dict[str, Any]:
    """Return the keys of a student's card that follow from whom it learned from and what it began with."""
    begun = begun_from(student)
    licence = ", ".join(sorted({str(row["licence"]) for row in (*teachers, *begun)}))
    return {"teachers": teachers, "begun_from": begun, "licence": licence}


def begun_from(student: nn.Module) -> list[dict[str, object]]:
    """Return where the weights come from that a student begins with; empty when they are drawn at random.

    They are those of a file that fills it, or pretrained ones of its encoder.
    """
    known = getattr(student, "provenance", None)
    rows = [] if known is None else [origin(str(known.name), student)]
    encoders: tuple[Provenance, ...] = getattr(student, "encoders_from", ())
    return rows + [
        {
            "spec": f"encoder {one.name}", "name": one.name, "weights": one.weights, "sha256": one.sha256,
            "licence": one.licence, "training_data": one.training_data,
        }
        for one in encoders
    ]


def check_begun(student: nn.Module, before: Sequence[Mapping[str, object]] | None) -> None:
    """Check that a student that goes on began with the file that it began with; before: what was written down then.

    Raises:
        WeightsError: the file has changed.
    """
    known = None if before is None else {str(row.get("spec")): row.get("sha256") for row in before}
    for row in [] if known is None else begun_from(student):
        if row["sha256"] != known.get(str(row["spec"]), row["sha256"]):  # type: ignore[union-attr]
            raise WeightsError(
                f"'{row['weights']}' is not the file that this run's student began with: it has changed; put it back, "
                "or begin anew without --resume"
            )


def origin(spec: str, model: nn.Module) -> dict[str, object]:
    """Return where one model's weights come from."""
    known = getattr(model, "provenance", None)
    return {
        "spec": spec,
        "name": getattr(known, "name", spec),
        "weights": getattr(known, "weights", None),
        "sha256": getattr(known, "sha256", None),
        "licence": getattr(known, "licence", "unknown"),
        "training_data": getattr(known, "training_data", "unknown"),
        "depth_kind": str(model.depth_kind),
    }
