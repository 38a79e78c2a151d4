"""Sources of sets whose pictures of depth have 16 bits."""

from __future__ import annotations

from kdcli.images import StoredDepth
from kdcli.rasters import ending_of
from kdcli.sources.paired import PairSource
from kdcli.sources.pairs import Pair
from kdcli.sources.sets.sixteen import sixteen_bits


class SixteenBitSource(PairSource):
    """A source of pairs that refuses depth which some tool saved with 8 bits: no scale makes metres of it."""

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of a pair as it is stored; size: height and width of its photograph as stored.

        Raises:
            DataError: missing, broken, no depth map, or a picture of 8 bits.
        """
        assert pair.depth is not None
        stored = super().stored(pair, size)
        return sixteen_bits(stored, pair.depth, self.name) if ending_of(pair.depth) == ".png" else stored
