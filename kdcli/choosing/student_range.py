"""The range of a student's depth where the recipe's own does not fit the teacher or the images that were named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kdcli.choosing.built import Built
from kdcli.choosing.depths import some_depths
from kdcli.choosing.facts import farthest, teacher_of
from kdcli.config.auto import AUTO
from kdcli.config.draft import Draft
from kdcli.config.others import GROUND_TRUTH
from kdcli.config.references import named
from kdcli.protocols import Source
from kdcli.spec import keys, parse
from kdcli.students.within import within

REACHED = 0.95
"""Share of the pixels that a range has to hold."""
ENDS = (10.0, 20.0, 80.0, 200.0)
"""Metres at which ranges end."""
_GIVEN = ("flag", "--set")


def follow_range(draft: Draft, built: Built) -> None:
    """Set ``max_depth`` of the run's student where a teacher or images were named that reach elsewhere.

    A range that the user wrote, in a flag or in a file of his own, stays. One in the spec of a shipped recipe gives way
    to a named teacher's; without any, a student of ground truth reaches as far as the depth of its images.

    Raises:
        KdcliError: a teacher or the source cannot be built.
    """
    inner = within(str(draft.run.get("student", "mobilenet")))
    spec, factory = inner.spec, inner.factory
    options = keys(factory)
    if "max_depth" not in options:
        return
    said = {"max_depth", *getattr(factory, "range_options", ())} & spec.options.keys()
    shipped = draft.origin(draft.run, "student") == "recipe" and not draft.recipe.endswith(".toml")
    main = draft.main
    far, why = None, "the teacher"
    if said and shipped and draft.origin(main, "teachers") in _GIVEN:
        teacher = teacher_of(main, built)
        far = None if teacher is None else farthest(teacher)
    elif not said and spec.location is None and _ground_truth(main) and draft.origin(main, "data") in (*_GIVEN, AUTO):
        far, why = _reach(built.source(str(main["data"])), options["max_depth"].default or ENDS[0]), "the images' depth"
    if far is not None:
        kept = {key: value for key, value in spec.options.items() if key not in said}
        new = str(inner.whole(replace(spec, options={**kept, "max_depth": f"{far:g}"})))
        draft.put(draft.run, "student", new, AUTO)
        draft.reasons.append(f"student {new}, whose range follows {why}")


def _ground_truth(stage: Mapping[str, Any]) -> bool:
    """Whether all teachers of a stage are the images' own depth, without a range of their own."""
    specs = [parse(named(entry)[1]) for entry in stage.get("teachers", ("demo",))]
    return all(spec.name == GROUND_TRUTH and "max_depth" not in spec.options for spec in specs)


def _reach(source: Source, least: float) -> float | None:
    """Return the end of a range that holds the depth of a few images; None where it lies within ``least``."""
    depth = some_depths(source)
    if not len(depth):
        return None
    reached = float(depth.sort().values[int(REACHED * (len(depth) - 1))])
    return None if reached <= least else next((end for end in ENDS if reached <= end), None)
