"""What a study's runs wrote, read back: per-image numbers as tensors, one arm and number of images at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdcli.documents import read_json
from kdcli.errors import DataError
from kdcli.evals.metrics import NAMES
from kdcli.evals.protocol import Aggregation, find
from kdcli.evals.written import read_per_image
from kdcli.study.bootstrap import Measured
from kdcli.study.cells import Job
from kdcli.training.run.manifest import RESULTS, read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The finished runs of one arm at one number of images."""

    arm: str
    count: int | None
    runs: dict[int, dict[str, list[float]]]
    """Seed -> image -> pixels and metrics."""
    protocol: dict[str, str]
    spec: str
    runs_of: dict[int, str]
    """Seed -> run folder, relative to the study's."""
    shown: dict[int, int]
    """Seed -> images that teachers were shown for the student, each as often as it was; of runs that counted them."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that have finished."""
        return tuple(sorted(self.runs))

    @property
    def images(self) -> set[str]:
        """Images that every seed was measured on."""
        return set.intersection(*({*rows} for rows in self.runs.values()))

    @property
    def aggregation(self) -> Aggregation:
        """How the protocol makes one number out of those of images."""
        return find(self.protocol["name"]).aggregation

    def measured(self, seeds: tuple[int, ...], images: list[str]) -> Measured:
        """Return the numbers of these seeds on these images, in this order."""
        table = torch.tensor([[self.runs[seed][image] for image in images] for seed in seeds], dtype=torch.float64)
        table = table.reshape(len(seeds), len(images), 1 + len(NAMES))
        return Measured(values=table[..., 1:].contiguous(), pixels=table[..., 0].contiguous())


def groups(jobs: list[Job], out: Path) -> list[Group]:
    """Return what the finished runs found, by arm and number of images, in the order of the cells.

    Raises:
        DataError: a result file is missing or broken, or seeds of one arm were measured under different protocols.
    """
    found: dict[tuple[str, int | None], Group] = {}
    for job in jobs:
        if job.state != "finished":
            continue
        result, rows = read_run(out / job.folder)
        for cell in job.cells:
            group = found.setdefault(
                (cell.arm, cell.count),
                Group(arm=cell.arm, count=cell.count, runs={}, protocol=result["protocol"], spec=result["spec"],
                      runs_of={}, shown={}),
            )  # fmt: skip
            if group.protocol["hash"] != result["protocol"]["hash"]:
                raise DataError(
                    f"'{out / job.folder}' was measured under {result['protocol']['name']}, the other seeds of "
                    f"'{cell.arm}' under {group.protocol['name']}; remove the run and run the study again"
                )
            group.runs[cell.seed], group.runs_of[cell.seed] = rows, str(job.folder)
            if (shown := _shown(out / job.folder)) is not None:
                group.shown[cell.seed] = shown
    return list(found.values())


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return a run's result document of its student, and that one's image -> [pixels, metrics ...].

    Raises:
        DataError: a file is missing or broken.
    """
    result = read_documents(folder / "eval").get("student")
    rows = read_per_image(folder / "eval" / "per_image.csv", "student", _AGAIN)
    if result is None or result["n"] != len(rows):
        raise DataError(f"'{folder / 'eval'}' does not hold the whole result of a student; {_AGAIN}")
    return result, rows


def _shown(folder: Path) -> int | None:
    """Return how many images teachers were shown for a run's student; None where the run did not count them.

    Raises:
        DataError: the manifest is missing or broken.
    """
    counted = read_manifest(folder / "manifest.json").get("teacher_images")
    if not counted:
        return None
    return sum(int(images) for place, images in counted.items() if place.startswith("student."))


def read_documents(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the result documents in a folder, by model.

    Raises:
        DataError: they are missing or broken.
    """
    document: dict[str, dict[str, Any]] = read_json(folder / "results.json", RESULTS, _AGAIN)
    return document


_AGAIN = "remove that folder's parent and run the study again"
