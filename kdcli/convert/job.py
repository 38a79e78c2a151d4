"""A conversion from beginning to end: begun, gone on with where an earlier call stopped, or found whole."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdcli.convert.asked import Asked
from kdcli.convert.journal import FORMAT, RECORDS, Journal, rows_of
from kdcli.convert.layouts import Told
from kdcli.convert.parts import Part, digest_of, parts_of
from kdcli.convert.pool import done, workers_for
from kdcli.convert.scale import scale_for
from kdcli.convert.units import Unit, Writing, units_of
from kdcli.drafts import clean
from kdcli.errors import ConfigError, DataError
from kdcli.files import require_writable, write_text
from kdcli.locks import owned
from kdcli.version import __version__

Hear = Callable[[str, int, int], None]
_MOST_NAMED = 100
"""Of the images that were left out; the records have them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a call did. kept: images that were there from an earlier call. spec: the source that reads it back."""

    out: Path
    layout: str
    images: int
    made: int
    kept: int
    left_out: int
    shards: int
    scale: float | None
    far: float | None
    beyond: Mapping[str, int]
    spec: str

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "out": str(self.out), "layout": self.layout, "images": self.images, "made": self.made, "kept": self.kept,
            "left_out": self.left_out, "shards": self.shards, "scale": self.scale, "furthest": self.far,
            "beyond_max_depth": dict(self.beyond), "read_with": self.spec,
        }


def convert(
    asked: Asked, out: Path, *, limit: int | None = None, workers: int | None = None, hear: Hear | None = None
) -> Report:
    """Write a source anew, as files of a layout.

    A folder in which an earlier call with the same wishes stopped, or which had a smaller ``limit``, is completed.

    limit: images of each part, the first ones; None = all. workers: processes; None = by the cores. hear: progress.

    Raises:
        ConfigError: the folder holds something else, or options do not go together. DataError, PluginError: the source
        cannot be used, or an item cannot be read or stored.
    """
    hear = hear or (lambda what, number, of: None)
    asked.made.refuse(out)
    journal = Journal(out, asked)  # a wrong folder is answered before anything is read
    require_writable(out / RECORDS)
    parts = parts_of(asked, limit)
    count = sum(part.count for part in parts)
    workers = workers_for(count) if workers is None else workers
    units = units_of(parts, asked)
    with owned(out):
        clean(out)
        journal = Journal(out, asked)
        if journal.manifest is None:
            scale = scale_for(asked, parts, workers, hear)
        else:
            _refuse_changed(journal.manifest, parts, out)
            scale = journal.manifest["scale"]
        journal.begin(_beginning(asked, parts, scale), units)
        missing = journal.missing(units)
        made = 0
        try:
            finished = count - sum(unit.end - unit.begin for unit in missing)
            hear("converted", finished, count)
            with closing(done(Writing(out, parts, asked, scale, missing), parts[0].source, workers)) as records:
                for record in records:
                    journal.note(record)
                    made += len(record["rows"])
                    finished += record["end"] - record["begin"]
                    hear("converted", finished, count)
        finally:
            clean(out)
        return _end(journal, asked, units, scale, made)


def _end(journal: Journal, asked: Asked, units: Sequence[Unit], scale: float | None, made: int) -> Report:
    """Write lists and manifest, and return what came of it."""
    out, records = journal.out, journal.records(units)
    rows = rows_of(records)
    if not rows:
        why = next((left["why"] for record in records for left in record["left_out"]), "there is none")
        raise DataError(f"not one image of '{asked.data}' could be converted: {why}")
    far = max((row.far for row in rows if row.far is not None), default=None)
    shards = [record["shard"] for record in records if "shard" in record]
    told = Told(
        rows=rows, ending=asked.ending, form=asked.stored, scale=scale, far=far, several=asked.val is not None,
        shards=shards,
    )
    for name, text in asked.made.lists(told).items():
        write_text(out / name, text)
    left = [one for record in records for one in record["left_out"]]
    beyond = {"pixels": sum(row.beyond for row in rows), "images": sum(row.beyond > 0 for row in rows)}
    spec = asked.made.spec(out, told)
    journal.end({
        "complete": True, "images": len(rows), "splits": {row.split: len(told.of(row.split)) for row in rows},
        "left_out": {"images": len(left), "first": left[:_MOST_NAMED]},
        "furthest": far, "beyond_max_depth": beyond, "cameras": sum(row.camera is not None for row in rows),
        "shards": shards, "read_with": spec,
    })
    return Report(
        out=out, layout=asked.layout, images=len(rows), made=made, kept=len(rows) - made, left_out=len(left),
        shards=len(shards), scale=scale, far=far, beyond=beyond, spec=spec,
    )


def _beginning(asked: Asked, parts: Sequence[Part], scale: float | None) -> dict[str, Any]:
    listing = {part.split: {"images": part.count, "sha256": digest_of(part)} for part in parts}
    return {
        "format": FORMAT, "complete": False, "parameters": asked.parameters(),
        "sources": [part.document() for part in parts], "listing": listing,
        "versions": {
            "kdcli": __version__, "torch": torch.__version__, "numpy": np.__version__,
            "pillow": importlib.metadata.version("pillow"),
        },
        "scale": scale,
    }


def _refuse_changed(manifest: Mapping[str, Any], parts: Sequence[Part], out: Path) -> None:
    """Refuse to go on with a source whose images are not those that it had.

    Raises:
        ConfigError: they are others.
    """
    for part in parts:
        known = manifest["listing"].get(part.split, {"images": 0, "sha256": ""})
        if part.count < known["images"]:
            raise ConfigError(f"'{out}' was begun with {known['images']} images of '{part.spec}', and {part.count} are "
                              "fewer; use another --out")
        if digest_of(part, known["images"]) != known["sha256"]:
            raise ConfigError(f"'{part.spec}' has other images now than when '{out}' was begun; use another --out")
