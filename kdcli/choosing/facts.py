"""What a run may know of its teacher: what that says of itself, completed by what its range and input tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from kdcli.choosing.built import Built
from kdcli.config.others import GROUND_TRUTH
from kdcli.config.references import STAGE, named
from kdcli.spec import parse
from kdcli.types import DepthKind, MadeFor

UNBOUNDED = 1000.0
"""Metres from which a teacher's range counts as no range at all."""
DRIVING = 20.0
"""Metres; a network that reaches further is one for the street."""


def teacher_of(stage: Mapping[str, Any], built: Built) -> nn.Module | None:
    """Return the first teacher of a stage that is a network from outside the run; None where there is none.

    Raises:
        KdcliError: it cannot be built.
    """
    for entry in stage.get("teachers", ("demo",)):
        spec = named(entry)[1]
        if not spec.startswith(STAGE) and parse(spec).name != GROUND_TRUTH:
            return built.teacher(spec)
    return None


def facts_of(teacher: nn.Module | None) -> MadeFor:
    """Return what a teacher was made for; what it does not say follows from its range and its input where it can."""
    if teacher is None:
        return MadeFor()
    known: MadeFor = getattr(teacher, "made_for", None) or MadeFor()
    far = farthest(teacher)
    if far is not None and known.far is None:
        known = replace(known, near=known.near or float(teacher.depth_range[0]) or None, far=far)  # type: ignore[index]
    if getattr(teacher, "made_for", None) is None and far is not None:
        known = replace(known, domain="driving" if far > DRIVING else "indoor")
    takes = getattr(teacher, "input_size", None)
    if known.train_size is None and known.eval_size is None and isinstance(takes, tuple):
        known = replace(known, eval_size=(int(takes[0]), int(takes[1])))
    return known


def farthest(teacher: nn.Module) -> float | None:
    """Return the metres that a teacher reaches to; None for one without a unit or without an end."""
    if DepthKind(str(teacher.depth_kind)) is not DepthKind.METRIC:
        return None
    known: MadeFor | None = getattr(teacher, "made_for", None)
    ends = [float(teacher.depth_range[1]), *([known.far] if known is not None and known.far else [])]  # type: ignore[index]
    far = min(ends)
    return far if far < UNBOUNDED else None
