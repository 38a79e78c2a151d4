"""What depends on a value that somebody gave follows it, where nobody named it himself: sizes, and held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kdcli.config.draft import Draft
from kdcli.spec import parse

Size = tuple[int, int]
STEP = 32
"""Networks halve their images five times."""
_GIVEN = ("flag", "--set")
_PLACE = ("images", "depths", "scale")
"""Options of a source that say where its files are and how they are read, not which of them are meant."""


def follow(draft: Draft, before: Mapping[str, Mapping[str, Any]]) -> None:
    """Bring what the recipe says along with what was given. before: the recipe's own stages, by name.

    ``crop`` and ``eval_size`` follow ``size`` in proportion. Evaluation images that the recipe takes from where its
    training images are follow ``data`` to another place.
    """
    for stage in draft.stages:
        was, now = before.get(stage["name"], {}).get("size"), stage.get("size")
        if draft.origin(stage, "size") not in _GIVEN or not isinstance(was, tuple) or not isinstance(now, tuple):
            continue
        if was == now:
            continue
        crop = stage.get("crop")
        if isinstance(crop, tuple) and draft.origin(stage, "crop") == "recipe":
            _put(draft, stage, "crop", in_proportion(crop, was, now))
        if stage is draft.main and draft.origin(draft.run, "eval_size") == "recipe":
            eval_size = draft.run.get("eval_size")
            if isinstance(eval_size, tuple):
                _put(draft, draft.run, "eval_size", in_proportion(eval_size, was, now))
            elif eval_size == "native":  # training is no longer at the images' own size
                draft.put(draft.run, "eval_size", "training", "follows size")
                draft.reasons.append("eval_size follows size: evaluation at the size of training, not the images' own")
    _follow_data(draft, before)


def in_proportion(side: Size, was: Size, now: Size) -> Size:
    """Return for ``now`` what a size was for ``was``: in multiples of 32 where it was only a part, at most ``now``."""
    made = []
    for part, old, new in zip(side, was, now, strict=True):
        rounded = max(round(part * new / old / STEP), 1) * STEP
        made.append(new if part == old else min(rounded, new))
    return made[0], made[1]


def _put(draft: Draft, where: dict[str, Any], key: str, size: Size) -> None:
    draft.put(where, key, size, "follows size")
    draft.reasons.append(f"{key} {size[0]}x{size[1]} follows size")


def _follow_data(draft: Draft, before: Mapping[str, Mapping[str, Any]]) -> None:
    stage, eval_data = draft.main, draft.run.get("eval_data")
    was = before.get(stage["name"], {}).get("data")
    if draft.origin(stage, "data") not in _GIVEN or draft.origin(draft.run, "eval_data") != "recipe":
        return
    if not isinstance(was, str) or not isinstance(eval_data, str) or "auto" in (was, eval_data, stage["data"]):
        return
    old, now, measured = parse(was), parse(stage["data"]), parse(eval_data)
    same = old.name == now.name == measured.name and old.location == measured.location is not None
    if same and now.location != old.location and old.name != "sim":
        place = {key: text for key, text in now.options.items() if key in _PLACE}
        moved = str(replace(measured, location=now.location, options={**measured.options, **place}))
        draft.put(draft.run, "eval_data", moved, "follows data")
        draft.reasons.append(f"eval_data {moved} follows data")
