"""``ddad:ROOT``: DDAD in the flat form in which evaluations keep it, an image beside its depth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from kdcli.images import IMAGE_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.rasters import ending_of
from kdcli.sources.lists import Locator, about_lines, existing_root, find_list, listed_pairs, read_list, require_some
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.by_rule import names_below, pairs_by_rule
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.sets.sixteen_bit_source import SixteenBitSource
from kdcli.types import Finding

_IMAGE = re.compile(r"(.*)_rgb\.(?:png|jpg)")
_PNG_SCALE = 256.0


class DdadSource(SixteenBitSource):
    """``NAME_rgb.png`` with ``NAME_depth.npy`` in metres or ``NAME_depth.png`` in 256ths of them, or what a list names.

    list: lines of ``image depth [focal]``, as written or below ROOT; without it ROOT is searched. Depth of a list
    is read by its ending too. max_depth: metres beyond which depth is left out (80, 120, 200 and 250 are in use). The
    official form, in which depth is not stored, is not read. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "ddad"
    domain = "driving"
    usual_median = (1.0, 250.0)

    def __init__(
        self, *, location: str, list: str | None = None, max_depth: float | None = None, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()
        at = Locator([root]), Locator([root], endings=IMAGE_SUFFIXES)
        notes: Sequence[Finding] = ()
        pairs: Sequence[Pair]
        if list is None:
            pairs = _scan(root, left)
        else:
            path = find_list(root, list, None)
            assert path is not None
            listed = listed_pairs(lines := read_list(path), at[1], at[0])
            require_some(listed, root, "list=FILE")
            pairs, notes = listed, about_lines(path, lines, at)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(
            pairs, selection=selection, scale=None, where=location, notes=[*left.findings(), *notes]
        )
        self.furthest = distance(max_depth)

    def scale_of(self, pair: Pair) -> float | None:
        """Return units per metre: whole numbers in pictures are 256ths of metres, arrays hold metres."""
        return _PNG_SCALE if pair.depth is not None and ending_of(pair.depth) == ".png" else None


def _scan(root: Path, left: LeftOut) -> list[Pair]:
    def depth(name: str) -> list[str] | None:
        match = _IMAGE.fullmatch(name)
        return None if match is None else [f"{match[1]}_depth.npy", f"{match[1]}_depth.png"]

    return pairs_by_rule(
        root, names_below(root, {".png", ".jpg", ".npy"}), depth, left=left, wanted="NAME_rgb.png",
        depths=lambda name: name.endswith(("_depth.npy", "_depth.png")),
    )
