"""``hf:LOCATION`` as a source: a table of Hugging Face ``datasets`` with a column of images and one of depth."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch

from kdcli.errors import ConfigError, DataError
from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, Finding, Sample
from kdcli_huggingface.cells import SCALES, camera, metres, object_ids, photograph
from kdcli_huggingface.tables import open_table

_IMAGES = ("image", "rgb", "color", "img")
_DEPTHS = ("depth_map", "depth", "depth_image", "depths")
_UNITS = {"m": 1.0, "cm": 100.0, "mm": 1000.0}
_LOOKED = 16
_BYTES = ("uint8", "int8", "bool")
_USUAL = (0.1, 200.0)


class HfSource:
    """Rows of a table that ``save_to_disk`` wrote, of Parquet files, or of a repository ``ORG/NAME`` of the hub.

    split, config, revision: which part, by the names that the data set has. image, depth: names of columns, by default
    the first of ``image``, ``rgb``, ... and of ``depth_map``, ``depth``, ... that there is; ``depth=none`` uses none.
    Depth is a picture of mode I;16, I or F, or an array; whole numbers are millimetres and floats metres unless the PNG
    itself, scale (stored units per metre) or unit says otherwise. What belongs to a photograph that its metadata turns
    is turned with it. instances: column of object ids. camera: column of 3 x 3 or 4
    numbers. max_depth: metres beyond which depth is left out. ``start:stop:every``, then at most count, drawn with
    seed.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "hf"

    def __init__(
        self, *, location: str, split: str | None = None, config: str | None = None, revision: str | None = None,
        image: str | None = None, depth: str | None = None, instances: str | None = None, camera: str | None = None,
        scale: float | None = None, unit: Literal["m", "cm", "mm"] | None = None, max_depth: float | None = None,
        start: int = 0, stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        self.where = location
        self._scale = _units(scale, unit)
        if max_depth is not None and not max_depth > 0:
            raise ConfigError(f"max_depth={max_depth:g} is no number of metres above 0; leave it out to use all depth")
        self._furthest = max_depth
        table = open_table(location, split, config, revision)
        names = list(table.column_names)
        self._image = _column("image", image, _IMAGES, names, location)
        if self._image is None:
            raise ConfigError(f"'{location}' has the columns {', '.join(names)}; say which are images with image=")
        self._depth = None if depth == "none" else _column("depth", depth, _DEPTHS, names, location)
        self._instances = _column("instances", instances, (), names, location)
        self._camera = _column("camera", camera, (), names, location)
        self._rows = _positions(len(table), start, stop, every, count, seed, location)
        said = (self._image, self._depth, self._instances, self._camera)
        used = list(dict.fromkeys(name for name in said if name is not None))
        self._unused = [name for name in names if name not in used]
        # As lists, which they come as otherwise, arrays of the size of an image take long.
        arrays = [name for name in used[1:] if type(table.features[name]).__name__ != "Image"]
        self._pictures = table.select_columns([name for name in used if name not in arrays])
        for name in self._pictures.column_names:
            if type(kind := table.features[name]).__name__ == "Image":
                self._pictures = self._pictures.cast_column(name, type(kind)(decode=False))
        if self._depth is not None and self._scale is None and _type_of(table.features[self._depth]) in _BYTES:
            raise ConfigError(f"column '{self._depth}' of '{location}' holds numbers of 8 bits, too few for depth; "
                              "name the column that holds it with depth=, or say what is stored with scale=")
        self._arrays = table.select_columns(arrays).with_format("numpy") if arrays else None
        self.depth_kind: DepthKind | None = DepthKind.METRIC if self._depth is not None else None
        self.has_instances = self._instances is not None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int, /) -> Sample:
        """Read one row.

        Raises:
            DataError: a cell is empty or holds something else than its column should.
        """
        row = self._rows[index]
        cells = self._cells(row)

        def at(column: str) -> str:
            return f"row {row} of '{self.where}', column '{column}',"

        image, turned = photograph(cells[self._image], at(self._image))  # type: ignore[index, arg-type]
        size = (int(image.shape[-2]), int(image.shape[-1]))
        depth = valid = ids = told = None
        if self._depth is not None and cells[self._depth] is not None:
            depth, valid = metres(cells[self._depth], self._scale, at(self._depth), turned, size)
            if self._furthest is not None:
                valid = valid & (depth <= self._furthest)
                depth = depth * valid
            _check_size(size, (int(depth.shape[-2]), int(depth.shape[-1])), at(self._depth))
        if self._instances is not None:
            cell, where = cells[self._instances], at(self._instances)
            ids = torch.zeros(size, dtype=torch.int64) if cell is None else object_ids(cell, where, turned, size)
            if tuple(ids.shape) != size:
                raise DataError(f"{where} has {_sized(ids.shape)} ids for an image of {_sized(size)}")
        if self._camera is not None and cells[self._camera] is not None:
            told = camera(cells[self._camera], at(self._camera), turned, size)
        return Sample(id=f"row{row}", image=image, depth=depth, valid=valid, instances=ids, intrinsics=told)

    def _cells(self, row: int) -> dict[str, Any]:
        try:
            cells: dict[str, Any] = dict(self._pictures[row])
            return cells | (dict(self._arrays[row]) if self._arrays is not None else {})
        except Exception as error:  # decoders of pictures and pyarrow have no common base
            said = " ".join(str(error).split())[:120] or type(error).__name__
            raise DataError(f"row {row} of '{self.where}' cannot be read ({said}); save the data set again") from None

    def check(self) -> Sequence[Finding]:
        """Look at an even sample of the rows: what cannot be read, and depth that is in no likely unit."""
        found: list[Finding] = []
        medians = []
        n = min(len(self), _LOOKED)
        for index in (i * len(self) // n for i in range(n)):
            try:
                sample = self[index]
            except DataError as error:
                found.append(Finding(level="error", message=str(error), path=self.where))
                continue
            if sample.depth is not None and sample.valid is not None and sample.valid.any():
                medians.append(float(sample.depth[sample.valid].median()))
        if medians and not _USUAL[0] <= (median := sorted(medians)[len(medians) // 2]) <= _USUAL[1]:
            message = (
                f"median depth of '{self.where}' is {median:.4g} m, which is not usual; say what is stored with unit= "
                "or scale="
            )
            found.append(Finding(level="warning", message=message, path=self.where))
        if self._unused:
            message = f"columns of '{self.where}' that are not used: {', '.join(self._unused)[:200]}"
            found.append(Finding(level="info", message=message, path=self.where))
        return found


def _type_of(kind: Any) -> str:
    """Return the type of the numbers of a column, also where they are lists of lists."""
    while (inner := getattr(kind, "feature", None)) is not None:
        kind = inner
    return str(getattr(kind, "dtype", ""))


def _units(scale: float | None, unit: str | None) -> float | None:
    if scale is not None and unit is not None:
        raise ConfigError(f"scale={scale:g} and unit={unit} both say what is stored; give one of them")
    if scale is not None and not SCALES[0] <= scale <= SCALES[1]:
        raise ConfigError(f"scale={scale:g} is no number of stored units per metre; 1000 is millimetres")
    return scale if unit is None else _UNITS[unit]


def _column(what: str, given: str | None, usual: Sequence[str], names: Sequence[str], where: str) -> str | None:
    if given is None:
        return next((name for name in usual if name in names), None)
    if given not in names:
        raise ConfigError(f"{what}={given}: '{where}' has no such column; it has {', '.join(names)}")
    return given


def _positions(
    length: int, start: int, stop: int | None, every: int, count: int | None, seed: int | None, where: str
) -> Sequence[int]:
    """Return which rows are used: the first ``count`` of ``start:stop:every``, or with a seed as many at random."""
    if every < 1 or (count is not None and count < 1):
        raise ConfigError(f"every={every}, count={count} leave nothing of '{where}'; both are at least 1")
    rows = range(length)[start:stop:every]
    if not rows:
        raise ConfigError(f"start={start}, stop={stop} leave none of the {length} rows of '{where}'; widen them")
    if count is None or count >= len(rows):
        return rows
    if seed is None:
        return rows[:count]
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), count))]


def _check_size(image: tuple[int, int], depth: tuple[int, int], where: str) -> None:
    down, across = image[0] / depth[0], image[1] / depth[1]
    if image != depth and (abs(down / across - 1) > 0.02 or 0.8 < down < 1.25):
        raise DataError(f"{where} has {_sized(depth)} numbers, its image {_sized(image)}; they are not of one frame")


def _sized(size: Sequence[int]) -> str:
    return "x".join(map(str, size)) + " (height x width)"
