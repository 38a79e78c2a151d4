"""Compare finished runs from their result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kdcli.errors import ConfigError, DataError
from kdcli.evals.intervals import interval
from kdcli.evals.metrics import NAMES
from kdcli.evals.results import FIDELITY
from kdcli.evals.written import read_per_image
from kdcli.files import atomic
from kdcli.training.run.folder import RunFolder


def compare_runs(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return one row per run: its student's metrics, and the paired difference of delta1 from the first run's.

    Where the runs held images out of training, ``fidelity`` has the same against the (first) teacher: comparable where
    teacher and images are the same. A row has either or both, as the runs have.

    Raises:
        DataError: no run, or one without results that the others have. ConfigError: fewer than two.
    """
    if len(paths) < 2:
        raise ConfigError(f"comparing takes at least two runs, not {len(paths)}; see: kdcli runs list")
    runs = [RunFolder.open(path) for path in paths]
    manifests = [run.manifest() for run in runs]
    measured = ["student" in manifest.get("eval", {}) for manifest in manifests]
    faithful = ["student" in manifest.get("fidelity", {}).get("teacher", {}) for manifest in manifests]
    if not all(measured) and not all(faithful):
        lacking = measured if any(measured) or not any(faithful) else faithful
        run, manifest = next((r, m) for r, m, there in zip(runs, manifests, lacking, strict=True) if not there)
        state = manifest.get("state")
        todo = f"measure '{run.path}' with kdcli eval" if state == "finished" else "finish it with --resume"
        raise DataError(f"run '{run.path}' has no results (state: {state}); {todo}")
    rows: list[dict[str, Any]] = [
        {"run": str(run.path), "recipe": manifest["recipe"], "student": manifest.get("student", "")}
        for run, manifest in zip(runs, manifests, strict=True)
    ]
    if all(measured):
        results = [manifest["eval"]["student"] for manifest in manifests]
        images = [_accuracy(run, result) for run, result in zip(runs, results, strict=True)]
        for row, told in zip(rows, _compared(results, images), strict=True):
            row |= told
    if all(faithful):
        results = [manifest["fidelity"]["teacher"]["student"] for manifest in manifests]
        images = [_fidelity(run, m, result) for run, m, result in zip(runs, manifests, results, strict=True)]
        for row, told in zip(rows, _compared(results, images), strict=True):
            row["fidelity"] = told
    return rows


def _compared(results: Sequence[dict[str, Any]], images: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    return [
        {
            "protocol": f"{result['protocol']['name']} ({result['protocol']['hash']})",
            "metrics": result["metrics"],
            "delta1_against_first": _told(_difference(own, images[0])) if i else "",
            "delta1_paired": _difference(own, images[0]) if i else None,
        }
        for i, (result, own) in enumerate(zip(results, images, strict=True))
    ]


def report_runs(paths: Sequence[Path], rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Write what ``compare_runs`` returned as one HTML file."""
    from kdcli.report.comparison import write_comparison

    runs = [RunFolder.open(path) for path in paths]
    write_comparison(out, rows, [run.manifest() for run in runs], [run.metrics() for run in runs])


def plot_runs(paths: Sequence[Path], out: Path) -> None:
    """Draw the students' training losses, and delta1 with its interval, of several runs.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("--plot needs matplotlib; install it with: pip install matplotlib") from None
    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    faithful = any("student" not in RunFolder.open(path).manifest().get("eval", {}) for path in paths)
    for i, path in enumerate(paths):
        run = RunFolder.open(path)
        rows = [row for row in run.metrics() if row["variant"] == "student"]
        losses.plot([row["step"] for row in rows], [row["loss"] for row in rows], label=path.name)
        manifest = run.manifest()
        result = manifest["fidelity"]["teacher"]["student"] if faithful else manifest["eval"]["student"]
        value, bounds = result["metrics"].get("delta1"), result["ci95"].get("delta1", ())
        if value is None or len(bounds) != 2:
            continue  # nothing was measured
        low, high = (value if bound is None else bound for bound in bounds)
        scores.errorbar([i], [value], yerr=[[value - low], [high - value]], fmt="o", capsize=4)
    losses.set(xlabel="step", ylabel="loss", title="training loss of the student")
    losses.legend()
    what = "delta1 against the teacher (not accuracy)" if faithful else "delta1"
    scores.set(xticks=range(len(paths)), xticklabels=[path.name for path in paths], title=f"{what}, 95 % interval")
    with atomic(out) as temporary:
        figure.savefig(temporary, dpi=110)


_ADVICE = "measure the run again with kdcli eval, or leave it out"
_DELTA1 = 1 + NAMES.index("delta1")


def _accuracy(run: RunFolder, result: dict[str, Any]) -> dict[str, float]:
    rows = read_per_image(run.path / "eval" / "per_image.csv", "student", _ADVICE)
    return {f"{result['protocol']['hash']}/{image}": values[_DELTA1] for image, values in rows.items()}


def _fidelity(run: RunFolder, manifest: dict[str, Any], result: dict[str, Any]) -> dict[str, float]:
    """Return delta1 by image, of which the teacher, its weights and the size at which it was asked are a part."""
    against = result.get("against", "")
    weights = next((row.get("sha256") for row in manifest.get("teachers", []) if row["spec"] == against), None)
    path = run.path / "fidelity" / "per_image.csv"
    rows = read_per_image(path, "student", "leave the run out", prefix=FIDELITY, against=against)
    key = f"{result['protocol']['hash']}/{weights or against}/{result.get('size')}/{result['spec']}"
    return {f"{key}/{image}": values[_DELTA1] for image, values in rows.items()}


def _difference(images: dict[str, float], first: dict[str, float]) -> dict[str, Any] | None:
    """Return the paired difference with its interval; None where they have fewer than two images in common."""
    common = sorted(images.keys() & first.keys())
    if len(common) < 2:
        return None
    gaps = torch.tensor([images[key] - first[key] for key in common], dtype=torch.float64)
    low, high = interval(gaps[:, None], torch.ones(len(gaps)))[:, 0].tolist()
    return {"difference": float(gaps.mean()), "ci95": [low, high], "n": len(common)}


def _told(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not comparable: other images, protocol or teacher"
    low, high = found["ci95"]
    return f"{found['difference']:+.4f} [{low:+.4f}, {high:+.4f}] on {found['n']} images"
