"""What of a conversion is done: its manifest, and a line for each unit that is in place.

::

    manifest.json      what was asked, of which source, versions, scale; when it is whole also counts, losses, hashes
    conversion.jsonl   a line a unit: of each image its id, files, camera, furthest depth, pixels left out
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdcli.convert.asked import Asked
from kdcli.convert.layouts import Row
from kdcli.convert.units import Unit
from kdcli.documents import Each, read_json
from kdcli.errors import ConfigError
from kdcli.files import from_json, write_json, write_text
from kdcli.locks import NAME as LOCK

FORMAT = "kdcli.convert/1"
MANIFEST, RECORDS = "manifest.json", "conversion.jsonl"
_SHAPE = {
    "format": str, "parameters": Each(Any), "scale": (float, None), "listing": Each({"sha256": str, "images": int}),
}
_AGAIN = "use another --out, or delete that folder"


class Journal:
    """The record of a conversion in its folder."""

    def __init__(self, out: Path, asked: Asked) -> None:
        """Look at what is there; nothing is written.

        Raises:
            ConfigError: the folder holds something else, or a conversion that was asked for otherwise. DataError: the
            manifest is damaged.
        """
        self.out, self._asked = out, asked
        self.manifest: dict[str, Any] | None = self._known()
        self._units: dict[tuple[int, int, int], dict[str, Any]] = {}

    def _known(self) -> dict[str, Any] | None:
        path = self.out / MANIFEST
        if not path.is_file():
            there = self.out.exists() and (not self.out.is_dir() or any(
                one.name != LOCK and not one.name.startswith(".") for one in self.out.iterdir()
            ))
            if there:
                raise ConfigError(f"'{self.out}' already holds something that is no conversion; use another --out")
            return None
        found: dict[str, Any] = read_json(path, _SHAPE, _AGAIN)
        if found["format"] != FORMAT:
            raise ConfigError(f"'{self.out}' holds files of format {found['format'][:40]}, not {FORMAT}; {_AGAIN}")
        for key, value in self._asked.parameters().items():
            if found["parameters"].get(key) != value:
                raise ConfigError(
                    f"'{self.out}' holds a conversion made with {key}={found['parameters'].get(key)}, not {value}; "
                    f"{_AGAIN}"
                )
        return found

    def begin(self, manifest: Mapping[str, Any], units: Sequence[Unit]) -> None:
        """Write down what is to be done, before any of it is, and take up the units that are there."""
        self.manifest = dict(manifest)
        write_json(self.out / MANIFEST, self.manifest)
        wanted = {unit.key for unit in units}
        self._units = {key: record for key, record in self._read() if key in wanted}
        # Without the half of a line that a killed process may have left.
        write_text(self.out / RECORDS, "".join(json.dumps(record) + "\n" for record in self._units.values()))

    def _read(self) -> list[tuple[tuple[int, int, int], dict[str, Any]]]:
        path, found = self.out / RECORDS, []
        if not path.is_file():
            return []
        for line in path.read_bytes().splitlines():
            try:
                record = from_json(line)
                key = (int(record["part"]), int(record["begin"]), int(record["end"]))
                files = [record["shard"]["file"]] if "shard" in record else [
                    file for row in record["rows"] for file in row["files"]
                ]
            except (ValueError, TypeError, KeyError):
                continue
            if all((self.out / file).is_file() for file in files):
                found.append((key, record))
        return found

    def missing(self, units: Sequence[Unit]) -> list[Unit]:
        """Return the units that are not in place."""
        return [unit for unit in units if unit.key not in self._units]

    def note(self, record: Mapping[str, Any]) -> None:
        """Write down that a unit is in place."""
        key = (record["part"], record["begin"], record["end"])
        self._units[key] = dict(record)
        with (self.out / RECORDS).open("a", encoding="ascii") as stream:
            stream.write(json.dumps(record) + "\n")

    def records(self, units: Sequence[Unit]) -> list[dict[str, Any]]:
        """Return the records of units that are in place, in their order."""
        return [self._units[unit.key] for unit in units if unit.key in self._units]

    def end(self, told: Mapping[str, Any]) -> None:
        """Write down that all of it is done, and what came of it."""
        write_json(self.out / MANIFEST, {**(self.manifest or {}), **told})


def rows_of(records: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return what records say of each image."""
    return [
        Row(**{**row, "files": tuple(row["files"]), "camera": None if row["camera"] is None else tuple(row["camera"])})
        for record in records for row in record["rows"]
    ]
