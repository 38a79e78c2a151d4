"""``booster:ROOT``: Booster, rooms with glass and mirrors seen by two cameras, with dense disparity."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

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

_IMAGE = re.compile(r"((?:.*/)?)camera_00/im\d+\.(?:png|jpg)")
_CALIBRATION = "calib_00-02.xml"


class BoosterSource(PairSource):
    """Left images ``SCENE/camera_00/imN.png``, of several lightings, with ``SCENE/disp_00.npy`` turned into depth.

    maps: ``occ`` has all pixels, ``noc`` those that ``mask_00.png`` does not leave out, which both cameras see. Scenes
    of the test half have no depth. max_depth: metres beyond which depth is left out. start, stop, every, count, seed:
    as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "booster"
    domain = "indoor"
    codec = CODECS["disparity"]

    def __init__(
        self, *, location: str, maps: Literal["occ", "noc"] = "occ", max_depth: float | None = None, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()

        def disparity(name: str) -> list[str] | None:
            match = _IMAGE.fullmatch(name)
            return None if match is None else [f"{match[1]}disp_00.npy"]

        names = names_below(root, {".png", ".jpg", ".npy"})
        pairs = pairs_by_rule(
            root, names, disparity, left=left, depths=lambda name: name.endswith("disp_00.npy"),
            wanted="SCENE/camera_00/im0.png",
        )
        if maps == "noc":
            pairs = [
                pair if pair.depth is None else replace(pair, mask=file_of(pair.depth).with_name("mask_00.png"))
                for pair in pairs
            ]
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location, notes=left.findings())
        self.furthest = distance(max_depth)

    def rig(self, pair: Pair) -> Rig:
        """Return what turns the disparity of a scene into depth.

        Raises:
            DataError: the calibration is missing or cannot be read.
        """
        path = _calibration(pair)
        text = "\n".join(read_lines(path, "OpenCV's matrices"))
        focal = _matrix(text, "proj_matL", path)[0]
        found = re.search(r"<baselineLR>\s*([^<\s]+)\s*</baselineLR>", text)
        baseline = number_of(found[1]) if found is not None else -_matrix(text, "proj_matR", path)[3] / focal
        # Millimetres. The limits are those of any pair of cameras.
        checked = check_number(float("nan") if baseline is None else baseline, (1e-3, 1e6), "baseline", f"'{path}'")
        return Rig(focal_baseline=focal * checked / 1000)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the rectified left camera, or None where there is no calibration.

        Raises:
            DataError: it cannot be read.
        """
        path = _calibration(pair)
        if not path.is_file():
            return None
        projection = _matrix("\n".join(read_lines(path, "OpenCV's matrices")), "proj_matL", path)
        return check_camera((projection[0], projection[5], projection[2], projection[6]), f"'{path}'")


def _calibration(pair: Pair) -> Path:
    return file_of(pair.image).parents[1] / _CALIBRATION


def _matrix(text: str, name: str, path: Path) -> list[float]:
    """Return the twelve numbers of a projection in a file of OpenCV's storage.

    Raises:
        DataError: there are none.
    """
    found = re.search(rf"<{name}\b[^>]*>.*?<data>(.*?)</data>\s*</{name}>", text, re.DOTALL)
    numbers = [number_of(word) for word in found[1].split()] if found is not None else []
    values = [number for number in numbers if number is not None]
    if len(values) != 12 or len(numbers) != 12:
        raise DataError(f"'{path}' has no {name} of 3 x 4 numbers; download it again")
    focal = check_number(values[0], (1.0, 1e6), "focal length", f"'{path}'")
    return [focal, *values[1:]]
