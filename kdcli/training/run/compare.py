"""Compare finished runs from their result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kdcli.errors import ConfigError, DataError
from kdcli.evals.intervals import interval
from kdcli.evals.metrics import NAMES
from kdcli.evals.written import read_per_image
from kdcli.files import atomic
from kdcli.training.run.folder import RunFolder


def compare_runs(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return one row per run: its student's metrics, and the paired difference of delta1 from the first run's.

    Raises:
        DataError: no run, or one without results. ConfigError: fewer than two.
    """
    if len(paths) < 2:
        raise ConfigError(f"comparing takes at least two runs, not {len(paths)}; see: kdcli runs list")
    rows: list[dict[str, Any]] = []
    first: dict[str, float] = {}
    for path in paths:
        run = RunFolder.open(path)
        manifest = run.manifest()
        if "student" not in manifest.get("eval", {}):
            state = manifest.get("state")
            todo = f"measure '{path}' with kdcli eval" if state == "finished" else "finish it with --resume"
            raise DataError(f"run '{path}' has no results (state: {state}); {todo}")
        result = manifest["eval"]["student"]
        images = _delta1(run.path / "eval" / "per_image.csv", result["protocol"]["hash"])
        first = first or images
        rows.append(
            {
                "run": str(path),
                "recipe": manifest["recipe"],
                "student": manifest.get("student", ""),
                "protocol": f"{result['protocol']['name']} ({result['protocol']['hash']})",
                "metrics": result["metrics"],
                "delta1_against_first": _difference(images, first) if rows else "",
            }
        )
    return rows


def plot_runs(paths: Sequence[Path], out: Path) -> None:
    """Draw the students' training losses, and delta1 with its interval, of several runs.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("--plot needs matplotlib; install it with: pip install 'kdcli[plots]'") from None
    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    for i, path in enumerate(paths):
        run = RunFolder.open(path)
        rows = [row for row in run.metrics() if row["variant"] == "student"]
        losses.plot([row["step"] for row in rows], [row["loss"] for row in rows], label=path.name)
        result = run.manifest()["eval"]["student"]
        value, bounds = result["metrics"].get("delta1"), result["ci95"].get("delta1", ())
        if value is None or len(bounds) != 2:
            continue  # nothing was measured
        low, high = (value if bound is None else bound for bound in bounds)
        scores.errorbar([i], [value], yerr=[[value - low], [high - value]], fmt="o", capsize=4)
    losses.set(xlabel="step", ylabel="loss", title="training loss of the student")
    losses.legend()
    scores.set(xticks=range(len(paths)), xticklabels=[path.name for path in paths], title="delta1, 95 % interval")
    with atomic(out) as temporary:
        figure.savefig(temporary, dpi=110)


def _delta1(path: Path, protocol: str) -> dict[str, float]:
    column = 1 + NAMES.index("delta1")
    rows = read_per_image(path, "student", "measure the run again with kdcli eval, or leave it out")
    return {f"{protocol}/{image}": values[column] for image, values in rows.items()}


def _difference(images: dict[str, float], first: dict[str, float]) -> str:
    common = sorted(images.keys() & first.keys())
    if len(common) < 2:
        return "not comparable: other images or protocol"
    gaps = torch.tensor([images[key] - first[key] for key in common], dtype=torch.float64)
    low, high = interval(gaps[:, None], torch.ones(len(gaps)))[:, 0].tolist()
    return f"{float(gaps.mean()):+.4f} [{low:+.4f}, {high:+.4f}] on {len(common)} images"
