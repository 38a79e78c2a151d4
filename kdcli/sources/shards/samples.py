"""The samples of all shards as a table, some fifty bytes each, from which pairs are made when asked for."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tarfile import BLOCKSIZE

from kdcli.rasters import Member
from kdcli.sources.pairs import Pair
from kdcli.sources.shards.headers import Headers
from kdcli.sources.shards.keys import Group
from kdcli.sources.shards.suffixes import Wanted
from kdcli.sources.table.columns import Numbers, Texts
from kdcli.sources.table.lazy import LazyPairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPair(Pair):
    """A pair in a tar. facts: the file that tells of it, such as its camera."""

    facts: Member | None = None


class _Part:
    """Where one part of every sample lies, in blocks of the tar; 0 where a sample has none."""

    def __init__(self, suffixes: Wanted) -> None:
        self.suffixes = suffixes
        self._which, self._offsets, self._sizes = array("B"), Numbers(), Numbers()

    def add(self, headers: Headers, group: Group) -> None:
        which = next((i for i, suffix in enumerate(self.suffixes) if suffix in group), None)
        at = None if which is None else group[self.suffixes[which]]
        self._which.append(which or 0)
        self._offsets.append(0 if at is None else headers.offsets[at] // BLOCKSIZE)
        self._sizes.append(0 if at is None else headers.sizes[at])

    def any(self) -> bool:
        return any(self._offsets)

    def member(self, archive: Path, key: str, row: int) -> Member | None:
        if not self._offsets[row]:
            return None
        name, offset = f"{key}.{self.suffixes[self._which[row]]}", self._offsets[row] * BLOCKSIZE
        return Member(archive, name, offset, self._sizes[row])

    def close(self) -> None:
        self._which = self._which[:]
        self._offsets.close()
        self._sizes.close()


class ShardSamples(LazyPairs):
    """Pairs of all samples that have an image, shard after shard."""

    def __init__(self, archives: Sequence[Path], names: Sequence[str], parts: Mapping[str, Wanted]) -> None:
        """Start without samples. names: of the shards, for ids. parts: suffixes by the member of ``ShardPair``."""
        self._archives, self._names = archives, names
        self._parts = {part: _Part(suffixes) for part, suffixes in parts.items() if suffixes}
        self._ends = array("Q")
        self._keys = Texts()
        self._chosen: Sequence[int] = range(0)
        self.without = 0
        """Samples that were left out since they have no image."""

    def add(self, headers: Headers, groups: Iterable[tuple[str, Group]]) -> None:
        """Add the samples of the next shard."""
        image, keys = self._parts["image"].suffixes, []
        for key, group in groups:
            if not any(suffix in group for suffix in image):
                self.without += 1
                continue
            for part in self._parts.values():
                part.add(headers, group)
            keys.append(key)
        self._keys.extend(keys)
        self._ends.append(len(self._keys))
        self._chosen = range(len(self._keys))

    def close(self) -> None:
        """Give back the room that was kept for further samples."""
        self._keys.close()
        for part in self._parts.values():
            part.close()

    def has(self, part: str) -> bool:
        """Whether any sample has this part."""
        return part in self._parts and self._parts[part].any()

    def _pair(self, position: int) -> Pair:
        row = position
        shard = bisect_right(self._ends, row)
        key = self._keys[row]
        parts = {part: where.member(self._archives[shard], key, row) for part, where in self._parts.items()}
        image = parts["image"]
        assert image is not None
        return ShardPair(
            id=f"{self._names[shard]}/{key}", image=image, depth=parts.get("depth"), mask=parts.get("mask"),
            instances=parts.get("instances"), facts=parts.get("facts"),
        )
