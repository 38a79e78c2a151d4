"""Parts of a recipe that nobody named and that do not fit teacher and images: left out, or another in their place.

Only where the recipe was chosen for the user: what he names himself is refused where it does not fit.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from kdcli.choosing.built import Built
from kdcli.choosing.facts import teacher_of
from kdcli.config.auto import AUTO
from kdcli.config.draft import Draft
from kdcli.config.loss_specs import loss_spec
from kdcli.errors import ConfigError
from kdcli.plugins import registry
from kdcli.sources.parts import lacks
from kdcli.transform import statistics_for
from kdcli.types import DepthKind

ANY_DEPTH = "affine-invariant"
"""The loss that makes sense of whatever a teacher's numbers mean."""


def fit_parts(made: Draft, built: Built) -> None:
    """Leave out mixers that need what the images lack, and a transformation that the teacher cannot be asked for;
    take another loss where the recipe's do not fit what the teacher's numbers mean.

    Raises:
        KdcliError: a teacher, a source or a part cannot be built.
    """
    _mixers(made, built)
    teacher = teacher_of(made.main, built) if made.origin(made.main, "teachers") in ("flag", "--set") else None
    if teacher is not None:
        _transform(made, teacher)
        _losses(made, teacher)
    plain = all(not stage.get("mixers") and stage.get("transform", "none") == "none" for stage in made.stages)
    if plain and made.twin is not None and made.twin.keys() <= {"label", "mixers", "transform"}:
        made.twin = None
        made.reasons.append("no twin: nothing is left that it would be without")


def _mixers(made: Draft, built: Built) -> None:
    gone: dict[str, str] = {}
    for stage in made.stages:
        named = stage.get("mixers", ())
        if not named or made.origin(stage, "mixers") != "recipe":
            continue
        source = built.source(str(stage["data"]))
        missing = {text: lacks(registry.build("mixer", text), source) for text in named}
        if any(missing.values()):
            made.put(stage, "mixers", tuple(text for text in named if missing[text] is None), AUTO)
            gone |= {text: part for text, part in missing.items() if part is not None}
    made.reasons += [f"without mixer {text}, which needs {part}" for text, part in gone.items()]


def _transform(made: Draft, teacher: nn.Module) -> None:
    fits = [stage for stage in made.stages if stage.get("train") == "transform"]
    try:
        for stage in fits:
            statistics_for(teacher, str(stage.get("statistics", "none")))
    except ConfigError as error:
        if any(made.origin(stage, "statistics") not in ("recipe", "default") for stage in fits):
            raise
        made.stages = [stage for stage in made.stages if stage not in fits]
        for stage in made.stages:
            if stage.get("transform") == "fitted":
                made.put(stage, "transform", "none", AUTO)
        made.reasons.append(f"without transformation network ({str(error).partition(';')[0]})")


def _losses(made: Draft, teacher: nn.Module) -> None:
    kind = DepthKind(str(teacher.depth_kind))
    for stage in made.stages:
        named: Any = stage.get("losses", ())
        if not named or made.origin(stage, "losses") != "recipe":
            continue
        fitting = tuple((text, weight) for text, weight in named if kind in _kinds(text))
        if len(fitting) < len(named):
            others = ", ".join(text for text, _ in named if kind not in _kinds(text))
            made.put(stage, "losses", ((ANY_DEPTH, 1.0), *fitting), AUTO)
            made.reasons.append(f"loss {ANY_DEPTH} in place of {others}: the teacher's depth is {kind}")


def _kinds(text: str) -> frozenset[DepthKind]:
    needs = registry.build("loss", loss_spec(text).spec).needs
    kinds: frozenset[DepthKind] = needs.kinds
    return kinds
