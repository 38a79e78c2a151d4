"""``diml:ROOT``: DIML RGB-D, rooms by a depth camera or the outdoors by a stereo camera, in millimetres."""

from __future__ import annotations

import re
from typing import ClassVar

from kdcli.codecs import CODECS
from kdcli.errors import ConfigError
from kdcli.protocols import API_VERSION
from kdcli.sources.lists import existing_root
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Selection
from kdcli.sources.sets.by_rule import names_below, pairs_by_rule
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.sets.sixteen_bit_source import SixteenBitSource

_INDOOR = re.compile(r"((?:.*/)?)color/([^/]+)_c\.(?:png|jpg)")
_OUTDOOR = re.compile(r"((?:.*/)?)outleft/([^/]+)\.(?:png|jpg)")


class DimlSource(SixteenBitSource):
    """Frames whose depth differs from them in folder and name, indoors or outdoors, whichever ROOT holds.

    Indoors ``{HR,LR}/SCENE/color/NAME_c.png`` with ``depth_filled/NAME_depth_filled.png``, outdoors
    ``SCENE/outleft/NAME.png`` with ``depthmap/NAME.png``. max_depth: metres beyond which depth is left out (10 and 80
    are usual). start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "diml"
    codec = CODECS["millimetres"]
    domain: str

    def __init__(
        self, *, location: str, max_depth: float | None = None, start: int = 0, stop: int | None = None,
        every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()
        pairs = pairs_by_rule(
            root, names_below(root, {".png", ".jpg"}), _depth, left=left,
            depths=lambda name: "depth_filled/" in name or "depthmap/" in name,
            wanted="SCENE/color/NAME_c.png (indoors) or SCENE/outleft/NAME.png (outdoors)",
        )
        indoors = [pair for pair in pairs if _INDOOR.fullmatch(pair.id)]
        if indoors and len(indoors) < len(pairs):
            raise ConfigError(f"'{location}' holds rooms and outdoor scenes; give the folder of one of them")
        self.domain = "indoor" if indoors else "any"
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location, notes=left.findings())
        self.furthest = distance(max_depth)


def _depth(name: str) -> list[str] | None:
    if match := _INDOOR.fullmatch(name):
        return [f"{match[1]}depth_filled/{match[2]}_depth_filled.png"]
    match = _OUTDOOR.fullmatch(name)
    return None if match is None else [f"{match[1]}depthmap/{match[2]}.png"]
