"""How training went, stage by stage: losses, their terms, what plugins told beside them, speed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdcli.report.html import Block, Curves, Facts, Section, Table, Text

Row = Mapping[str, Any]


SCALE = (
    "Scale: the student's depth over its teacher's, by the median of each image (where a kind has no zero, by its "
    "spread), and a standard deviation over the batch either way."
)


def training_sections(metrics: Sequence[Row], scale: Mapping[str, Mapping[str, Any]] | None = None) -> list[Section]:
    """Return a section for each stage, in the order in which they were trained.

    scale: of the run's manifest, whether each stage's student kept to its teacher's scale, by ``variant.stage``.
    """
    stages = list(dict.fromkeys(str(row["stage"]) for row in metrics))
    return [
        Section(
            title="Training" if len(stages) == 1 else f"Training: stage {stage}",
            blocks=_blocks([row for row in metrics if row["stage"] == stage], scale or {}),
        )
        for stage in stages
    ]


def _blocks(rows: Sequence[Row], scale: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    variants = list(dict.fromkeys(str(row["variant"]) for row in rows))
    several = len(variants) > 1
    compared = " Twin and student may see different images, so compare shapes." if several else ""
    blocks: list[Block] = [
        Curves(
            series={name: _points((row for row in rows if row["variant"] == name), "loss") for name in variants},
            y_label="loss", caption=f"Loss.{compared}",
        )
    ]
    for prefix, label, caption in (
        ("term/", "term", "Terms, not weighted."), ("note/", "value", "What plugins told beside their terms."),
    ):  # fmt: skip
        series = _named(rows, prefix, variants)
        if len(series) > len(variants) or (series and prefix == "note/"):
            blocks.append(Curves(series=series, y_label=label, caption=caption))
    blocks += _scale(rows, variants, scale)
    blocks.append(Facts(values={name: _speed([row for row in rows if row["variant"] == name]) for name in variants}))
    return blocks


def _scale(rows: Sequence[Row], variants: Sequence[str], said: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """Return how the students' scales went, and what is wrong with them, if anything."""
    series: dict[str, list[tuple[float, float]]] = {}
    for variant in variants:
        mine = [row for row in rows if row["variant"] == variant and row.get("scale") is not None]
        for name, way in (("", 0), (" low", -1), (" high", 1)):
            points = [
                (float(row["step"]), float(row["scale"]) * math.exp(way * float(row.get("scale_spread") or 0)))
                for row in mine
            ]
            if points:
                series[f"{variant}{name}"] = points
    blocks: list[Block] = [Curves(series=series, y_label="student / teacher", caption=SCALE)] if series else []
    for variant in variants:
        told = said.get(f"{variant}.{rows[0]['stage']}", {})
        if told.get("note"):
            blocks.append(Text(text=f"{variant}: {told['note']}"))
    return blocks


def _named(rows: Sequence[Row], prefix: str, variants: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """Return the values of keys that begin alike, by what follows, and by variant where there are several."""
    found: dict[str, list[tuple[float, float]]] = {}
    for variant in variants:
        mine = [row for row in rows if row["variant"] == variant]
        for key in dict.fromkeys(key for row in mine for key in row if key.startswith(prefix)):
            name = key.removeprefix(prefix)
            found[name if len(variants) == 1 else f"{variant} {name}"] = _points(mine, key)
    return found


def _points(rows: Iterable[Row], key: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[key])) for row in rows if row.get(key) is not None]


def _speed(rows: Sequence[Row]) -> str:
    last = rows[-1]
    speed = last.get("images_per_second")
    return f"{last['step']} steps" + ("" if speed is None else f", {speed:.1f} images/s")


def hard_sections(told: Mapping[str, Mapping[str, Any]]) -> list[Section]:
    """Return the images that a student found hard, for each stage that looked for them.

    told: of the run's manifest, by stage.
    """
    return [
        Section(
            title="Images that the student finds hard" + ("" if len(told) == 1 else f": stage {stage}"),
            blocks=[
                Table(
                    columns=["image", "distance", "shown"],
                    rows=[[row["id"], f"{row['distance']:.3g}", row["shown"]] for row in one["hardest"]],
                    caption="Farthest from the teacher first. A distance is of the last look at the image in training: "
                    "of depth the mean absolute difference of logarithms. A teacher that is wrong is far as well.",
                ),
                Facts(values={
                    "images": one["images"],
                    "shown": "{} times at least, the median image {} times, {} at most".format(*one["shown"]),
                }),
            ],
        )
        for stage, one in told.items()
    ]
