"""The teachers of a study, measured once on the images that all arms are measured on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.claims import Claims
from kdcli.config import RunConfig, outside_teachers
from kdcli.files import digest, write_json
from kdcli.study.grid import Study
from kdcli.study.results import read_documents
from kdcli.study.rows import Interval, TeacherRow

if TYPE_CHECKING:
    import torch

    from kdcli.training.run.progress import Progress


def teacher_keys(config: RunConfig) -> dict[str, str]:
    """Return the teachers of a cell that are not of its own making, and of each what its numbers depend on, as the name
    of their folder."""
    return {
        spec: digest([spec, config.eval_data, config.protocol, config.align, config.evaluated_at])
        for spec in outside_teachers(config.main)
    }


def measure_teachers(
    configs: Sequence[RunConfig], out: Path, device: torch.device, progress: Progress, claims: Claims
) -> bool:
    """Measure the teachers of these configurations below ``out/teachers``, each once; those that are there are kept.

    Returns whether all are there: those that another process is measuring are left to it.
    """
    from kdcli.evals import evaluate
    from kdcli.evals.results import require_measured, write_csv
    from kdcli.models import load_teacher
    from kdcli.sources import load_source

    there = True
    wanted = {key: (spec, config) for config in configs for spec, key in teacher_keys(config).items()}
    for key, (spec, config) in wanted.items():
        folder = out / "teachers" / key
        if (folder / "results.json").is_file():
            continue
        if claims.take(f"teachers-{key}") is None:
            there = False
            continue
        if (folder / "results.json").is_file():  # by now
            claims.ended(f"teachers-{key}", "finished")
            continue
        assert config.eval_data is not None
        progress.note(f"measuring {spec} on {config.eval_data}, protocol {config.protocol}")
        results = evaluate(
            {spec: load_teacher(spec).to(device)},
            load_source(config.eval_data),
            config.protocol,
            align=config.align,
            device=device,
            size=config.evaluated_at,
            spec=config.eval_data,
            progress=lambda done, total: progress.count("evaluated", done, total),
        )
        require_measured(results.values())
        write_csv(folder / "per_image.csv", list(results.values()))
        documents: dict[str, Any] = {name: result.document() for name, result in results.items()}
        write_json(folder / "results.json", documents)
        claims.ended(f"teachers-{key}", "finished")
    return there


def teacher_rows(study: Study, out: Path) -> tuple[TeacherRow, ...]:
    """Return the measured teachers of a study's arms.

    Raises:
        DataError: a result file is broken.
    """
    users: dict[str, dict[str, None]] = {}
    for cell in study.cells:
        for key in teacher_keys(cell.config).values():
            users.setdefault(key, {})[cell.arm] = None
    rows = []
    for key, arms in users.items():
        if not (out / "teachers" / key / "results.json").is_file():
            continue
        for spec, result in read_documents(out / "teachers" / key).items():
            metrics = {
                name: Interval(value=result["metrics"].get(name), low=low, high=high)
                for name in study.metrics
                for low, high in [result["ci95"].get(name, (None, None))]
            }
            rows.append(TeacherRow(spec=spec, arms=tuple(arms), images=result["n"], metrics=metrics))
    return tuple(rows)
