"""Images to calibrate an export on, without data: simulated scenes, looking as the teacher's own images do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.choosing.worlds import world_for
from kdcli.errors import WeightsError
from kdcli.exporters.endings import is_exported
from kdcli.exporters.quantising.shown import CALIBRATE, JUDGE, Shown
from kdcli.sources import load_source
from kdcli.students.files import find_student
from kdcli.transform.files import load
from kdcli.types import MadeFor

TRANSFORM = "transform.safetensors"
"""Of a run's folder: the network that brings simulated images near to the teacher's own."""


def simulated(model: nn.Module, named: str, size: tuple[int, int]) -> Shown:
    """Return images of the world that a model learned in, and others to judge its file on.

    Both pass the transformation network of the student's run, where it has one, as the images of its training did.
    Those to judge on are of the model's own world where that is known (``MadeFor.test``), as they are, and else further
    scenes of the first.

    Args:
        model: ``made_for`` is read of it.
        named: as on the command line: a run's folder, a student's file, ``teacher:SPEC``.
        size: height and width that they are brought to.

    Raises:
        WeightsError: the run's transformation network is broken.
    """
    made = getattr(model, "made_for", None)
    made = made if isinstance(made, MadeFor) else MadeFor()
    world, _ = world_for(made)
    seen = world if made.test is None else made.test
    calibrate, judge = rendered(world, range(CALIBRATE), size), None
    network = transform_of(named)
    told = f"{CALIBRATE} scenes of {world}"
    if made.test is None:
        judge = rendered(seen, range(CALIBRATE, CALIBRATE + JUDGE), size)
    if network is not None:
        with torch.no_grad():
            calibrate = network(calibrate).clamp(0, 1)
            judge = None if judge is None else network(judge).clamp(0, 1)
        told += ", transformed as in its training"
    judge = rendered(seen, range(JUDGE), size) if judge is None else judge
    return Shown(calibrate=calibrate, judge=judge, told=told)


def rendered(spec: str, scenes: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Return images of a simulated source, brought to a size, B x 3 x H x W in 0..1."""
    source = load_source(spec)
    images = [source[scene % len(source)].image for scene in scenes]
    return functional.interpolate(torch.stack(images), size=size, mode="bilinear", align_corners=False, antialias=True)


def transform_of(named: str) -> nn.Module | None:
    """Return the fitted transformation network of the run that a student is of; None where there is none."""
    if named.startswith("teacher:") or is_exported(named):
        return None
    try:
        beside = find_student(Path(named.removeprefix("run:"))).parent / TRANSFORM
    except WeightsError:
        return None
    return load(beside)[0] if beside.is_file() else None
