"""One unit of a conversion: a shard, or some items of a folder. It is there as a whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdcli.convert.asked import Asked
from kdcli.convert.items import encode
from kdcli.convert.layouts import Row
from kdcli.convert.parts import Part
from kdcli.drafts import draft_of
from kdcli.errors import DataError
from kdcli.files import atomic, sha256_of
from kdcli.plugins.blame import blame

FEW = 32
"""Items of a folder that are put in place together: no more than so many are made again after a stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Items ``begin`` to ``end`` of a part."""

    part: int
    number: int
    begin: int
    end: int

    @property
    def key(self) -> tuple[int, int, int]:
        """What a record of it is found by."""
        return self.part, self.begin, self.end


def units_of(parts: Sequence[Part], asked: Asked) -> list[Unit]:
    """Return the units of a conversion."""
    step = asked.shard_size if asked.made.packed else FEW
    return [
        Unit(part=number, number=begin // step, begin=begin, end=min(begin + step, part.count))
        for number, part in enumerate(parts)
        for begin in range(0, part.count, step)
    ]


class Writing:
    """Units that are written, by number; it is sent to worker processes."""

    def __init__(
        self, out: Path, parts: Sequence[Part], asked: Asked, scale: float | None, units: Sequence[Unit]
    ) -> None:
        self._out, self._parts, self._asked, self._scale, self._units = out, parts, asked, scale, units

    def __len__(self) -> int:
        return len(self._units)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Write a unit and return its record: ``rows``, what was left out, and of a shard its file and hash.

        Raises:
            DataError: an item that cannot be read, or its depth does not fit. OSError: the disk.
        """
        unit = self._units[number]
        rows, left = list[Row](), list[dict[str, str]]()
        record: dict[str, Any] = {"part": unit.part, "begin": unit.begin, "end": unit.end}
        items = self._items(unit, rows, left)
        if self._asked.made.packed:
            record["shard"] = self._pack(unit, items)
        else:
            with _staged(self._out) as put:
                for files in items:
                    put(files)
        return record | {"rows": [asdict(row) for row in rows], "left_out": left}

    def _items(self, unit: Unit, rows: list[Row], left: list[dict[str, str]]) -> Iterator[dict[str, bytes]]:
        """Yield the files of each item, and note what they are of."""
        part, asked = self._parts[unit.part], self._asked
        kind = None if part.source.depth_kind is None else str(part.source.depth_kind)
        for index in range(unit.begin, unit.end):
            name = part.names[index]
            try:
                with blame(part.source, f"item {index}"):
                    sample = part.sample(index, asked.size)
                if sample.depth is None and asked.made.needs_depth:
                    left.append({"name": name, "why": f"'{sample.id}' has no depth"})
                    continue
                item, loss = encode(
                    sample, asked, name=name, split=part.split, scale=self._scale, kind=kind,
                    copied=part.copied(index, asked),
                )
            except DataError as error:
                if not asked.skip_broken:
                    raise
                left.append({"name": name, "why": str(error)})
                continue
            files = asked.made.files(item, len(self._parts) > 1)
            camera = item.facts["intrinsics"]
            rows.append(Row(
                id=sample.id, name=name, split=part.split, files=tuple(files), far=loss.far, beyond=loss.beyond,
                camera=None if camera is None else tuple(camera),
            ))
            yield files

    def _pack(self, unit: Unit, items: Iterator[dict[str, bytes]]) -> dict[str, Any]:
        """Write a tar whose bytes are a function of what is in it."""
        split = self._parts[unit.part].split
        path, images = self._out / f"{split}-{unit.number:06d}.tar", 0
        with atomic(path) as draft:
            with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
                for files in items:
                    images += 1
                    for name, content in files.items():
                        about = tarfile.TarInfo(name)
                        about.size, about.mode = len(content), 0o644
                        tar.addfile(about, io.BytesIO(content))
            size, sha256 = draft.stat().st_size, sha256_of(draft)
        return {"file": path.name, "split": split, "images": images, "bytes": size, "sha256": sha256}


@contextmanager
def _staged(out: Path) -> Iterator[Any]:
    """Yield what takes the files of an item; all of them are moved into place at the end, pictures last."""
    draft, waiting = draft_of(out / "unit"), list[tuple[Path, Path]]()

    def put(files: dict[str, bytes]) -> None:
        for path, content in files.items():
            kept = draft / f"{len(waiting)}"
            kept.write_bytes(content)
            waiting.append((kept, out / path))

    try:
        draft.mkdir()
        yield put
        for kept, path in waiting:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(kept, path)  # noqa: PTH105 - as ``Path.replace``, without making a path again
    finally:
        shutil.rmtree(draft, ignore_errors=True)
