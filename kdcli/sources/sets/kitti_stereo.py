"""``kitti-stereo:ROOT``: KITTI's stereo benchmarks of 2012 and 2015, whose ground truth is disparity."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import Rig
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of
from kdcli.sources.lists import existing_root
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.by_rule import names_below, pairs_by_rule
from kdcli.sources.sets.kitti_calibration import Matrix, camera_of_projection, matrix, read_matrices
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.sets.sixteen_bit_source import SixteenBitSource

_IMAGE = re.compile(r"((?:.*/)?)(?:image_2|colored_0)/(\d{6}_10)\.(?:png|jpg)")
_FOLDERS = ("calib_cam_to_cam", "calib")
_LEFT, _RIGHT = ("P2", "P_rect_02"), ("P3", "P_rect_03")


class KittiStereoSource(SixteenBitSource):
    """First frames (``NNNNNN_10``) of ``training``, left camera, with disparity turned into depth by the calibration.

    2015 has ``image_2``, ``disp_occ_0`` and ``calib_cam_to_cam``, 2012 has ``colored_0``, ``disp_occ`` and ``calib``.
    Objects are those of ``obj_map`` where it is there. maps: ``occ`` also has pixels that the right camera does not
    see, ``noc`` has none. focal_baseline: focal length times baseline, pixels times metres, for frames without
    calibration. max_depth: metres beyond which depth is left out. start, stop, every, count, seed: as in
    ``Selection``. Some frames are of drives that Eigen's split trains on.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "kitti-stereo"
    domain = "driving"
    usual_median = (1.0, 80.0)
    codec = CODECS["kitti-disparity"]

    def __init__(
        self, *, location: str, maps: Literal["occ", "noc"] = "occ", focal_baseline: float | None = None,
        max_depth: float | None = None, start: int = 0, stop: int | None = None, every: int = 1,
        count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()

        def disparity(name: str) -> list[str] | None:
            match = _IMAGE.fullmatch(name)
            return None if match is None else [f"{match[1]}disp_{maps}{end}/{match[2]}.png" for end in ("_0", "")]

        def objects(name: str) -> str | None:
            match = _IMAGE.fullmatch(name)
            return None if match is None else f"{match[1]}obj_map/{match[2]}.png"

        folders = re.compile(rf"(?:.*/)?disp_{maps}(?:_0)?/\d{{6}}_10\.png")
        pairs = pairs_by_rule(
            root, names_below(root, {".png", ".jpg"}), disparity, left=left, ids=objects,
            depths=lambda name: folders.fullmatch(name) is not None,
            wanted="training/image_2/NNNNNN_10.png (2015) or training/colored_0/NNNNNN_10.png (2012)",
        )
        self._rig = None if focal_baseline is None else Rig(focal_baseline=focal_baseline)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location, notes=left.findings())
        self.furthest = distance(max_depth)

    def rig(self, pair: Pair) -> Rig | None:
        """Return focal length times baseline of a frame, or None where nothing tells them.

        Raises:
            DataError: the calibration cannot be read.
        """
        path = _calibration(pair)
        if self._rig is not None or path is None:
            return self._rig
        known = read_matrices(path)
        shift = float(matrix(known, _LEFT, (3, 4), path)[0, 3] - matrix(known, _RIGHT, (3, 4), path)[0, 3])
        if shift <= 0:
            raise DataError(f"'{path}' has its cameras 2 and 3 at a distance of {shift:g}; download it again")
        return Rig(focal_baseline=shift)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the rectified left camera, or None where there is no calibration.

        Raises:
            DataError: the calibration cannot be read.
        """
        path = _calibration(pair)
        if path is None:
            return None
        left: Matrix = matrix(read_matrices(path), _LEFT, (3, 4), path)
        return camera_of_projection(left, path)


def _calibration(pair: Pair) -> Path | None:
    image = file_of(pair.image)
    frame = image.stem.removesuffix("_10")
    paths = [image.parent.parent / folder / f"{frame}.txt" for folder in _FOLDERS]
    return next((path for path in paths if path.is_file()), None)
