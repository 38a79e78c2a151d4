"""``rgbd:DIR``: colour and depth of a depth camera, in the layouts that recorders and benchmarks write."""

from __future__ import annotations

from typing import ClassVar

from kdcli.errors import ConfigError
from kdcli.images import DEPTH_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.sources.encoding import said_encoding
from kdcli.sources.listed import about_listed, only_listed
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.layouts import TUM_SCALE, find_pairs, why_none
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Selection

__all__ = ["TUM_SCALE", "RgbdSource"]


class RgbdSource(PairSource):
    """Colour and depth of the same frames: TUM association files, parallel folders, or files side by side.

    Names belong together that differ in role words (``rgb_1`` and ``depth_1``, ``N.png`` and ``N_depth.png``) or in how
    a number is written. If DIR itself has none of these, its sub-folders are taken as scenes. A mask called
    ``N_depth_mask`` or ``N_valid`` beside a depth map counts. scale: stored units per metre, by default 5000 in the TUM
    layout, else 1000 for whole numbers and 1 for floats. ``camera-intrinsics.txt`` (3 x 3) is read where it is. codec,
    focal, focal_baseline, doffs, max_depth: as of ``folder:``. list: a list file, as written or below DIR, of the
    frames to use. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "rgbd"
    usual_median = (0.1, 10.0)

    def __init__(
        self, *, location: str, list: str | None = None, scale: float | None = None, codec: str | None = None,
        focal: float | None = None, focal_baseline: float | None = None, doffs: float = 0.0,
        max_depth: float | None = None, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        encoding = said_encoding(
            codec, focal=focal, focal_baseline=focal_baseline, doffs=doffs, max_depth=max_depth
        )
        if not encoding.endings >= DEPTH_SUFFIXES or encoding.endings - DEPTH_SUFFIXES:
            endings = " ".join(sorted(f".{ending}" for ending in encoding.codec.containers))
            raise ConfigError(f"codec={codec} is of files that end in {endings}, which rgbd: does not look for; give "
                              "folder:IMAGES,depths=DEPTHS or the source of that data set")
        self.encoding = encoding
        root = existing_root(location)
        left = LeftOut()
        pairs = find_pairs(root, root, left)
        left = left.without(pairs.paths())
        if not pairs:
            raise why_none(location, left)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(
            only_listed(pairs, list, root), selection=selection, scale=scale, where=location,
            notes=[*left.findings(), *about_listed(list, root)],
        )
