"""What one item is like: read once, in whatever process, and told in few bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kdcli.errors import KdcliError, PluginError
from kdcli.plugins.blame import blame, owner_of
from kdcli.rasters import file_of
from kdcli.sources.checks.depths import Values, values_of
from kdcli.sources.checks.edges import Agreement, agreement
from kdcli.sources.checks.numbers import Numbers, numbers_of
from kdcli.sources.checks.units import Look, look
from kdcli.sources.checks.workers import in_order
from kdcli.sources.pairs import OfFiles

if TYPE_CHECKING:
    from kdcli.plugins.plugin import Plugin
    from kdcli.protocols import Source
    from kdcli.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of one item. error, path: what is wrong with it and the file that this is about; the rest is then unknown.

    size, depth_size: height and width. objects: how many. camera: fx, fy, cx, cy. edges: where it was to be compared
    and could be.
    """

    name: str
    index: int
    error: str | None = None
    path: str | None = None
    size: tuple[int, int] = (0, 0)
    depth_size: tuple[int, int] | None = None
    objects: int | None = None
    camera: tuple[float, float, float, float] | None = None
    look: Look | None = None
    values: Values | None = None
    numbers: Numbers | None = None
    edges: Agreement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examiner:
    """Looks at items of a source; ``compared`` are those whose edges are."""

    source: Source
    owner: Plugin | None
    compared: frozenset[int]
    kept: int

    def __call__(self, index: int) -> Facts:
        try:
            with blame(self.owner, f"item {index}"):
                sample = self.source[index]
        except PluginError:
            raise
        except KdcliError as error:
            return Facts(name=str(index), index=index, error=str(error), path=_named(self.source, index, str(error)))
        return _facts(self.source, index, sample, self.kept, index in self.compared)


def facts(
    source: Source, indices: Sequence[int], *, compared: frozenset[int], kept: int, workers: int = 0
) -> Iterator[Facts]:
    """Yield the facts of items in their order, the same whatever the number of processes that read them.

    compared: items whose edges are compared. kept: most numbers that are kept of a depth map.
    """
    examiner = _Examiner(source=source, owner=owner_of(source), compared=compared, kept=kept)
    return in_order(examiner, indices, workers=workers, what=source)


def _facts(source: Source, index: int, sample: Sample, kept: int, compare: bool) -> Facts:
    pair = source.pairs[index] if isinstance(source, OfFiles) else None
    depth, valid = sample.depth, sample.valid
    values, seen, numbers, known = None, None, None, None
    if depth is not None:
        measured = torch.isfinite(depth) & (depth > 0)  # other sources than those of files may leave others in
        valid = measured if valid is None else valid & measured
        known = depth.numpy()[valid.numpy()]
        values = values_of(depth, valid, known, kept)
    if pair is not None and isinstance(source, OfFiles):
        seen = look(source, pair, depth, None if known is None else torch.from_numpy(known))
        numbers = None if known is None else numbers_of(known, seen, source.codec)
    camera = None if sample.intrinsics is None else sample.intrinsics.tolist()
    height, width = sample.image.shape[-2:]
    return Facts(
        name=sample.id, index=index, size=(height, width), look=seen, values=values, numbers=numbers,
        path=None if pair is None or pair.depth is None else str(pair.depth),
        depth_size=None if depth is None else (depth.shape[-2], depth.shape[-1]),
        objects=None if sample.instances is None else int((torch.unique(sample.instances) > 0).sum()),
        camera=None if camera is None else (camera[0], camera[1], camera[2], camera[3]),
        edges=agreement(sample.image, depth, valid) if compare and depth is not None else None,
    )


def _named(source: Source, index: int, message: str) -> str | None:
    """Return the file that an error is about."""
    if not isinstance(source, OfFiles):
        return None
    pair = source.pairs[index]
    places = [place for place in (pair.image, pair.depth, pair.instances, pair.mask) if place is not None]
    paths = [*map(str, places), *(str(file_of(place)) for place in places)]  # of arrays, also the file that they are in
    return next((path for path in paths if f"'{path}'" in message), paths[0])
