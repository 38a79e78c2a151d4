"""What layouts of large sets share: pairs that are made of a short name when they are asked for."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from kdcli.errors import ConfigError, DataError
from kdcli.images import StoredDepth
from kdcli.rasters import ending_of
from kdcli.sources.listing import is_hidden
from kdcli.sources.paired import PairSource
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.table.lazy import LazyPairs
from kdcli.sources.table.packed import PackedTexts
from kdcli.text import agreeing
from kdcli.types import Finding

_NAMED = 3
"""Files that are named of each sort."""


class Frames(LazyPairs):
    """Pairs of names, so that a hundred thousand frames are no more than their names, compressed."""

    def __init__(self, names: Iterable[str], make: Callable[[str], Pair]) -> None:
        self._names = PackedTexts(names)
        self._make = make
        self.choose(range(len(self._names)))

    def _pair(self, position: int) -> Pair:
        return self._make(self._names[position])


class SetSource(PairSource):
    """A source whose frames have names, of which ``pair`` makes the paths.

    All of its whole numbers have 16 bits, so that a PNG of 8, which some viewer wrote, is refused.
    """

    def __init__(
        self, names: Sequence[str], *, selection: Selection, where: str, scale: float | None = None,
        max_depth: float | None = None, notes: Sequence[Finding] = (),
    ) -> None:
        """Take what a selection leaves of the names.

        max_depth: metres beyond which depth is none.

        Raises:
            ConfigError: it is not above 0.
        """
        if max_depth is not None and not max_depth > 0:
            raise ConfigError(f"max_depth={max_depth:g} is not above 0; it is the metres beyond which depth is none")
        self.furthest = max_depth
        chosen = selection.positions(len(names), where)
        frames = Frames((names[position] for position in chosen), self.pair)
        super().__init__(frames, selection=None, scale=scale, where=where, notes=notes)

    @abstractmethod
    def pair(self, name: str) -> Pair:
        """Return the files of a frame."""

    def has(self, part: Literal["depth", "instances"]) -> bool:
        """Whether the first frame names a file of this part: in a layout all do, or none."""
        return getattr(self.pairs[0], part) is not None

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of a pair as it is stored.

        Raises:
            DataError: as of ``PairSource``, or a picture of 8 bits.
        """
        stored = super().stored(pair, size)
        assert pair.depth is not None
        if stored.bits == 8 and ending_of(pair.depth) == ".png":
            raise DataError(
                f"'{pair.depth}' has 8 bits, and depth has 16 in this layout: a viewer or a converter wrote it again; "
                "give the original file"
            )
        return stored


def names_in(folder: str | Path) -> frozenset[str]:
    """Return the names of the files and folders in a folder without hidden ones; none where it is not there."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if not is_hidden(entry.name))
    except OSError:
        return frozenset()


def told(
    level: Literal["info", "warning", "error"], paths: Iterable[str | Path], says: str, remedy: str
) -> list[Finding]:
    """Return one finding on files, with how many and the first names; none where there are no files."""
    found = [str(path) for path in paths]
    if not found:
        return []
    named = ", ".join(f"'{path}'" for path in found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
    return [Finding(level=level, message=agreeing(len(found), f"{says}: {named}; {remedy}"), path=found[0])]
