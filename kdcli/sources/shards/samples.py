"""The samples of all shards as a table, some fifty bytes each, from which pairs are made when asked for."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdcli.rasters import Member
from kdcli.sources.pairs import Pair
from kdcli.sources.shards.headers import Headers
from kdcli.sources.shards.keys import Group
from kdcli.sources.shards.suffixes import Wanted
from kdcli.sources.table.lazy import LazyPairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPair(Pair):
    """A pair in a tar. facts: the file that tells of it, such as its camera."""

    facts: Member | None = None


class _Part:
    """Where one part of every sample lies; a size of 0 where a sample has none."""

    def __init__(self, suffixes: Wanted) -> None:
        self.suffixes = suffixes
        self._which, self._offsets, self._sizes = array("B"), array("Q"), array("Q")

    def add(self, headers: Headers, group: Group) -> None:
        which = next((i for i, suffix in enumerate(self.suffixes) if suffix in group), None)
        at = None if which is None else group[self.suffixes[which]]
        self._which.append(which or 0)
        self._offsets.append(0 if at is None else headers.offsets[at])
        self._sizes.append(0 if at is None else headers.sizes[at])

    def any(self) -> bool:
        return any(self._offsets)

    def member(self, archive: Path, key: str, row: int) -> Member | None:
        if not self._offsets[row]:
            return None
        return Member(archive, f"{key}.{self.suffixes[self._which[row]]}", self._offsets[row], self._sizes[row])


class ShardSamples(LazyPairs):
    """Pairs of all samples that have an image, shard after shard."""

    def __init__(self, archives: Sequence[Path], names: Sequence[str], parts: Mapping[str, Wanted]) -> None:
        """Start without samples. names: of the shards, for ids. parts: suffixes by the member of ``ShardPair``."""
        self._archives, self._names = archives, names
        self._parts = {part: _Part(suffixes) for part, suffixes in parts.items() if suffixes}
        self._ends = array("Q")
        self._keys, self._key_ends = bytearray(), array("Q")
        self._chosen: Sequence[int] = range(0)
        self.without = 0
        """Samples that were left out since they have no image."""

    def add(self, headers: Headers, groups: Iterable[tuple[str, Group]]) -> None:
        """Add the samples of the next shard."""
        image = self._parts["image"].suffixes
        for key, group in groups:
            if not any(suffix in group for suffix in image):
                self.without += 1
                continue
            for part in self._parts.values():
                part.add(headers, group)
            self._keys += key.encode("utf-8", "surrogateescape")
            self._key_ends.append(len(self._keys))
        self._ends.append(len(self._key_ends))
        self._chosen = range(len(self._key_ends))

    def has(self, part: str) -> bool:
        """Whether any sample has this part."""
        return part in self._parts and self._parts[part].any()

    def _pair(self, position: int) -> Pair:
        row = position
        shard = bisect_right(self._ends, row)
        begin = self._key_ends[row - 1] if row else 0
        key = self._keys[begin : self._key_ends[row]].decode("utf-8", "surrogateescape")
        parts = {part: where.member(self._archives[shard], key, row) for part, where in self._parts.items()}
        image = parts["image"]
        assert image is not None
        return ShardPair(
            id=f"{self._names[shard]}/{key}", image=image, depth=parts.get("depth"), mask=parts.get("mask"),
            instances=parts.get("instances"), facts=parts.get("facts"),
        )
