"""``tartanair:ROOT``: TartanAir, drives through rendered worlds, in its first and its second form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from kdcli.codecs import CODECS
from kdcli.errors import ConfigError
from kdcli.protocols import API_VERSION
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.by_rule import names_below, pairs_by_rule
from kdcli.sources.sets.sixteen import distance

SKY = 5000.0
"""Metres from which on depth is sky: it is stored as about 10000, and nothing else is as far."""

_PATTERN = r"((?:.*/)?)image_({0})/(\d+)_{0}\.(?:png|jpg)"
"""Of an image's path, for a camera. Only the folders of a drive are named: ROOT may be a world or a drive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """A layout. cameras: as users call them and as files do. depth, ids: paths made of the groups of the pattern."""

    codec: str
    cameras: dict[str, str]
    depth: str
    ids: str


_FORMS = (
    _Form(
        codec="tartanair", cameras={"left": "left", "right": "right"}, depth="{0}depth_{1}/{2}_{1}_depth.npy",
        ids="{0}seg_{1}/{2}_{1}_seg.npy",
    ),
    _Form(
        codec="tartanair2", cameras={"left": "lcam_front", "right": "rcam_front"},
        depth="{0}depth_{1}/{2}_{1}_depth.png", ids="{0}seg_{1}/{2}_{1}_seg.png",
    ),
)


class TartanAirSource(PairSource):
    """Frames of all drives below ROOT, with the ids of meshes as objects where ``seg_*`` is there.

    1: ``WORLD/{Easy,Hard}/P0NN/image_left/NNNNNN_left.png`` with NPY; a doubled folder ``WORLD/WORLD``, as the archives
    unpack, is all the same. 2: ``WORLD/Data_{easy,hard}/P0NN/image_lcam_front``, with the bytes of floats in PNG.
    camera: ``left`` or ``right``. sky: ``none`` leaves out what is sky, ``far`` keeps it as far as it is stored (about
    10000 m). max_depth: metres beyond which depth is left out. Ids of meshes mean the same within one world only.
    start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "tartanair"

    def __init__(
        self, *, location: str, camera: Literal["left", "right"] = "left", sky: Literal["none", "far"] = "none",
        max_depth: float | None = None, start: int = 0, stop: int | None = None, every: int = 1,
        count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()
        names = names_below(root, {".png", ".jpg", ".npy"})
        patterns = [re.compile(_PATTERN.format(form.cameras[camera])) for form in _FORMS]
        there = [i for i, pattern in enumerate(patterns) if any(pattern.fullmatch(name) for name in names)]
        if len(there) > 1:
            raise ConfigError(f"'{location}' holds TartanAir in both its forms; give the folder of one of them")
        form, pattern = (_FORMS[there[0]], patterns[there[0]]) if there else (_FORMS[0], patterns[0])

        def depth(name: str) -> list[str] | None:
            match = pattern.fullmatch(name)
            return None if match is None else [form.depth.format(*match.groups())]

        def meshes(name: str) -> str | None:
            match = pattern.fullmatch(name)
            return None if match is None else form.ids.format(*match.groups())

        folder = f"depth_{form.cameras[camera]}/"
        pairs = pairs_by_rule(
            root, names, depth, left=left, ids=meshes, depths=lambda name: folder in name,
            wanted=f"WORLD/Easy/P000/image_{camera} (first form) or WORLD/Data_easy/P000/image_{camera[0]}cam_front "
            "(second)",
        )
        self.codec = CODECS[form.codec]
        self.sky = sky
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location, notes=left.findings())
        self.furthest = distance(max_depth)
        if sky == "none":  # also where the limit is beyond it
            self.furthest = SKY if max_depth is None else min(max_depth, SKY)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float]:
        """Return the camera of all worlds: 90 degrees from side to side, its centre where the set says."""
        return width / 2, width / 2, width / 2, height / 2
