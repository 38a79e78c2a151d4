"""The part of a card that says what a student is not for: what was not measured, scenes, scale, sizes."""

from __future__ import annotations

from typing import Any

from kdcli.sharing.facts import Facts
from kdcli.sharing.markdown import code
from kdcli.sharing.private import cleaned
from kdcli.sharing.terms import taught_by
from kdcli.types import DepthKind

_SIMULATED = "sim:"
_SCALES = {
    DepthKind.METRIC: "Its metres come from its teacher, or from the depth that it was shown: another camera (field of "
    "view, distortion) or scenes of another size put them off by a factor.",
    DepthKind.SCALE_INVARIANT: "Its numbers have no unit: each image has a factor of its own.",
    DepthKind.AFFINE_DEPTH: "Its numbers have no unit: each image has a factor and an offset of its own, so that "
    "ratios of distances cannot be read from them.",
    DepthKind.AFFINE_DISPARITY: "Its numbers are inverse depth without a unit: each image has a factor and an offset "
    "of its own, so that neither distances nor their ratios can be read from them without a fit.",
}
_DOMAINS = {"indoor": "rooms", "driving": "streets, seen from a car"}


def limits(facts: Facts) -> list[str]:
    """Return the list, one point a line."""
    return ["\n".join(f"- {point}" for point in _points(facts))]


def _points(facts: Facts) -> list[str]:
    kind = DepthKind(facts.card["depth_kind"])
    made = facts.card.get("made_for") or {}
    points = [*_not_measured(facts), _SCALES[kind]]
    domain = made.get("domain", "any")
    if domain in _DOMAINS:
        points.append(f"It was made for {_DOMAINS[domain]}; other scenes it has not seen.")
    if made.get("far") and kind is DepthKind.METRIC:
        points.append(f"It says nothing beyond {made['far']:g} m, and nothing nearer than {made.get('near') or 0:g} m.")
    if made.get("train_size"):
        height, width = made["train_size"]
        points.append(f"It was trained on images brought to {height}x{width}: much larger or smaller ones, or another "
                      "aspect ratio, give worse depth.")
    if (told := _drifted(facts)) is not None:
        points.append(told)
    if taught_by(facts.card):
        points.append("What its teacher gets wrong (glass, mirrors, sky), it has been taught to get wrong.")
    points.append("It gives no guarantee at any pixel: nothing that can hurt somebody should hang on it alone.")
    return points


def _not_measured(facts: Facts) -> list[str]:
    learned = str(facts.card.get("training_data") or "")
    found = []
    if not facts.results:
        found.append("Nobody has measured its accuracy on any data with ground truth.")
    else:
        spec = str(cleaned(facts.results["student"]["spec"]))
        count = facts.results["student"]["n"]
        if spec.startswith(_SIMULATED):
            found.append(f"It was measured on simulated images only ({code(spec)}, {count} of them): how good it is on "
                         "photographs was not measured.")
        else:
            found.append(f"It was measured on {code(spec)} only ({count} images): other cameras, scenes, weather and "
                         "light were not measured.")
    if learned.startswith(_SIMULATED):
        found.append("It learned on simulated images only.")
    return found


def _drifted(facts: Facts) -> str | None:
    """Return that the student did not keep its teacher's scale, where the run saw that."""
    stages: dict[str, Any] = facts.manifest.get("scale") or {}
    lost = [one for name, one in stages.items() if name.startswith("student.") and one.get("kept") is False]
    if not lost:
        return None
    ratio = lost[-1].get("ratio")
    times = f" (about {ratio:.2g} times)" if ratio is not None else ""
    return f"In training it moved away from its teacher's scale{times}: do not read its numbers as its teacher's."
