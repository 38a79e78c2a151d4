"""``middlebury:ROOT``: stereo scenes in the layout of Middlebury 2014, which ETH3D's two-view scenes have too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import Rig
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.by_rule import names_below, pairs_by_rule
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.texts.numbers import check_camera, check_number, number_of, read_lines

_VIEW = re.compile(r"((?:.*/)?)im0\.(?:png|jpg|ppm)")
_NAMED = re.compile(r"(.*)_left\.(?:png|jpg|ppm)")
_MAPS = ("disp0.pfm", "disp0GT.pfm", "disp0.npy", "disp0.npz")
_ENDINGS = (".pfm", ".npy", ".npz")
_BASELINE = (1e-3, 1e6)


class MiddleburySource(PairSource):
    """Scenes of ``im0.png``, ``disp0.pfm`` or ``disp0GT.pfm``, ``calib.txt``; depth is f * B / (disparity + doffs).

    Ground truth may lie in a tree of its own, as ``two_view_training_gt`` of ETH3D does: it is found by the name of
    the scene. Also read are ``NAME_left.png`` with ``NAME_disp.pfm`` (or NPY, NPZ). focal_baseline: focal length times
    baseline, pixels times metres, and doffs: pixels added to the disparity, for scenes without ``calib.txt``.
    max_depth: metres beyond which depth is left out. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "middlebury"
    codec = CODECS["disparity"]

    def __init__(
        self, *, location: str, focal_baseline: float | None = None, doffs: float = 0.0,
        max_depth: float | None = None, start: int = 0, stop: int | None = None, every: int = 1,
        count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()
        names = names_below(root, {".png", ".jpg", ".ppm", *_ENDINGS})
        truth: dict[str, list[str]] = {}
        scenes = {match[1].rstrip("/") for match in map(_VIEW.fullmatch, names) if match}
        for name in names:
            folder, _, file = name.rpartition("/")
            # Beside a view it is of that view: the same scene at another size has another disparity.
            if file in _MAPS and folder not in scenes:
                truth.setdefault(folder.rpartition("/")[2], []).append(name)

        def disparity(name: str) -> list[str] | None:
            if match := _VIEW.fullmatch(name):
                scene = match[1].rstrip("/").rpartition("/")[2]
                elsewhere = truth.get(scene, [])
                return [match[1] + file for file in _MAPS] + (elsewhere if len(elsewhere) == 1 else [])
            match = _NAMED.fullmatch(name)
            return None if match is None else [f"{match[1]}_disp{ending}" for ending in _ENDINGS]

        pairs = pairs_by_rule(
            root, names, disparity, left=left, wanted="SCENE/im0.png or NAME_left.png",
            depths=lambda name: name.rpartition("/")[2] in _MAPS or name.endswith(tuple("_disp" + e for e in _ENDINGS)),
        )
        self._rig = None if focal_baseline is None else Rig(focal_baseline=focal_baseline, offset=doffs)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location, notes=left.findings())
        self.furthest = distance(max_depth)

    def rig(self, pair: Pair) -> Rig | None:
        """Return what turns the disparity of a scene into depth, or None where nothing tells it.

        Raises:
            DataError: ``calib.txt`` cannot be read.
        """
        path = file_of(pair.image).with_name("calib.txt")
        if self._rig is not None or not path.is_file():
            return self._rig
        known = read_calibration(path)
        return Rig(focal_baseline=known["cam0"][0] * known["baseline"][0] / 1000, offset=known["doffs"][0])

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the left camera of ``calib.txt``, or None where there is none.

        Raises:
            DataError: it cannot be read.
        """
        path = file_of(pair.image).with_name("calib.txt")
        if not path.is_file():
            return None
        fx, _, cx, _, fy, cy = read_calibration(path)["cam0"][:6]
        return check_camera((fx, fy, cx, cy), f"'{path}'")


def read_calibration(path: Path) -> dict[str, tuple[float, ...]]:
    """Return the numbers of ``name=...`` lines: cam0 (9 numbers), baseline (millimetres), doffs (pixels; 0 if absent).

    Raises:
        DataError: it cannot be read, or a number that is needed is missing or cannot be.
    """
    known: dict[str, tuple[float, ...]] = {"doffs": (0.0,)}
    for line in read_lines(path, "Middlebury's calibration, name=numbers"):
        name, _, text = line.partition("=")
        values = [number_of(word) for word in re.split(r"[\s;\[\]]+", text) if word]
        if values and None not in values:
            known[name.strip()] = tuple(value for value in values if value is not None)
    if len(known.get("cam0", ())) != 9 or len(known.get("baseline", ())) != 1 or len(known["doffs"]) != 1:
        raise DataError(f"'{path}' lacks cam0=[9 numbers], baseline= or doffs=; download it again")
    check_number(known["baseline"][0], _BASELINE, "baseline", f"'{path}'")
    check_number(known["doffs"][0], (-1e6, 1e6), "doffs", f"'{path}'")
    return known
